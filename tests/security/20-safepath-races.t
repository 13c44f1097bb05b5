#!/bin/bash
# A payload swaps directories for symlinks as fast as it can while paths inside its root are resolved and made.
# (The history: CVE-2018-15664, CVE-2019-16884, CVE-2021-30465, CVE-2024-21626's family, CVE-2025-31133, -52565, -52881.)
# deadline: 400
TAP_TIMEOUT=300
. "${RL_TEST_HELPERS:-$(dirname "$0")/../helpers}/tap.sh"

ok "the swapper catches a resolution by plain openat" race-safepath 20000 naive
ok "100000 calls through openat2 reach nothing outside of the root" race-safepath 100000
ok "100000 calls through the component walk reach nothing outside of the root" race-safepath 100000 walk
done_testing
