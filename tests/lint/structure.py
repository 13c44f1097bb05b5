#!/usr/bin/env python3
"""The rules of the tree that no compiler checks. structure.py BUILD_DIR prints one "ok" or "not ok" line per rule.

An exception is a line in tests/lint/allowed.txt: RULE  KEY  REASON. One that is no longer needed is a failure too, so
that the list cannot rot.
"""
import os
import re
import subprocess
import sys

BUILD = sys.argv[1]
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
os.chdir(TOP)

FILE_SOFT, FILE_HARD = 600, 1000
FUNCTION_SOFT, FUNCTION_HARD = 60, 120
THEORY_FROM = 150

problems = {}
allowed = {}
used = set()
rule_names = []


def tracked(*patterns):
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", *patterns], capture_output=True, text=True)
    if out.returncode:  # an unpacked tree without git
        names = [os.path.join(d, f)[2:] for d, _, fs in os.walk(".") for f in fs]
        suffixes = tuple(p.lstrip("*") for p in patterns)
        return sorted(n for n in names if n.endswith(suffixes) and not n.startswith("build/"))
    return sorted(f for f in out.stdout.split("\n") if f and os.path.exists(f))


def read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def load_allowed():
    path = "tests/lint/allowed.txt"
    for n, line in enumerate(read(path).splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = line.split(None, 2)
        if len(parts) < 3:
            problem("exceptions", f"{path}:{n}", "an exception needs RULE KEY REASON")
            continue
        allowed[(parts[0], parts[1])] = parts[2]


def problem(rule, key, text):
    """key: what an exception would name (a file, a function, a symbol)."""
    for k in (key, *(key[:i + 1] for i, c in enumerate(key) if c == "/")):  # a directory stands for its files
        if (rule, k) in allowed:
            used.add((rule, k))
            return
    problems.setdefault(rule, []).append(f"{key}: {text}")


def rule(name):
    def wrap(f):
        rule_names.append((name, f))
        return f

    return wrap


C_FILES = tracked("*.c")
H_FILES = tracked("*.h")
SRC_C = [f for f in C_FILES if f.startswith("src/")]
SRC = SRC_C + [f for f in H_FILES if f.startswith(("src/", "include/"))]


def strip_comments(text):
    """Comments and the inside of literals become blanks; line numbers stay."""
    def blank(m):
        s = m.group(0)
        if s[0] in "\"'":
            return s[0] + re.sub(r"[^\n]", " ", s[1:-1]) + s[-1]
        return re.sub(r"[^\n]", " ", s)

    return re.sub(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", blank, text, flags=re.S)


CODE = {f: strip_comments(read(f)) for f in C_FILES + H_FILES}


# --- layers ---------------------------------------------------------------------------------------------------------

ENGINES = sorted(d for d in os.listdir("src/engine") if os.path.isdir(f"src/engine/{d}"))
# What the files of a directory may include, by layer of the header. An engine sees itself only.
MAY_SEE = {
    "base": {"base"},
    "kern": {"base", "kern"},
    "model": {"base", "model"},
    "engine": {"base", "kern", "model"},
    "svc": {"base", "kern", "model", "engine", "svc"},
    "cmd": {"base", "model", "svc", "cmd"},
    "image": {"base", "kern", "model", "engine/archive", "engine/registry", "engine/store"},
    "netd": {"base", "kern", "model", "engine/net"},
    "portd": {"base", "kern", "engine/net"},
    "notifyd": {"base", "kern", "model", "engine/runtime", "engine/net"},
    "gen": {"base", "kern", "model", "engine/runtime"},
}


def engine_of_header(name):
    """A header belongs to the engine whose name it has, or to the only one whose sources include it."""
    for e in ENGINES:
        if name == e or name.startswith(e + "_"):
            return e
    users = {f.split("/")[2] for f in SRC_C if f.startswith("src/engine/") and f'"rl/engine/{name}.h"' in read(f)}
    return users.pop() if len(users) == 1 else None


def layer_of(path):
    parts = path.split("/")
    if path.startswith("include/rl/"):
        layer = parts[2]
        if layer == "engine":
            return "engine/" + str(engine_of_header(parts[3][:-2]))
        return layer
    if parts[1] == "engine":
        return "/".join(parts[1:3])
    return parts[1]


@rule("layers: headers of lower layers only, engines do not see each other")
def check_layers():
    for f in SRC:
        here = layer_of(f)
        may = MAY_SEE.get(here.split("/")[0])
        if may is None:
            problem("layers", f, f"is in no known layer ({here})")
            continue
        for inc in re.findall(r'^\s*#\s*include\s+"([^"]+)"', read(f), flags=re.M):
            if inc.startswith("rl/"):
                there = layer_of("include/" + inc)
                if there == here or there in may or ("engine" in may and there.startswith("engine/")):
                    continue
                problem("layers", f"{f}:{inc}", f"{here} may not see {there}")
            elif "/" in inc:
                problem("layers", f"{f}:{inc}", "a private header of another directory")
            elif not os.path.exists(os.path.join(os.path.dirname(f), inc)) and not inc.endswith(".inc"):
                problem("layers", f"{f}:{inc}", "a private header that is not beside the file")


# --- headers --------------------------------------------------------------------------------------------------------

@rule("headers: each one compiles alone")
def check_headers():
    flags = ["-std=gnu17", "-D_GNU_SOURCE", "-D_FILE_OFFSET_BITS=64", "-Iinclude", f"-I{BUILD}/gen",
             "-include", "include/rl/base/banned.h", "-Wall", "-Wextra",
             "-Wno-unused-function", "-Werror", "-fsyntax-only", "-x", "c"]
    for f in [h for h in H_FILES if h.startswith(("include/", "src/"))]:
        # Included twice: the guard works.
        text = f'#include "{os.path.abspath(f)}"\n#include "{os.path.abspath(f)}"\nextern int lint_not_empty;\n'
        r = subprocess.run(["gcc", *flags, "-iquote", os.path.dirname(f), "-"], input=text, capture_output=True, text=True)
        if r.returncode:
            lines = [line for line in r.stderr.splitlines() if "error" in line]
            problem("headers", f, (lines or ["does not compile"])[0])


@rule("manuals: every public header begins with what it is for")
def check_header_manuals():
    for f in [h for h in H_FILES if h.startswith("include/")]:
        text = read(f)
        m = re.match(r"/\*\n \* " + re.escape(os.path.basename(f)) + r" - \S", text)
        if not m:
            problem("manuals", f, f"does not begin with \"/* {os.path.basename(f)} - PURPOSE\"")


@rule("results: fallible functions of headers are marked RL_CHECK")
def check_results():
    for f in [h for h in H_FILES if h.startswith("include/")]:
        if f.endswith("base/err.h"):
            continue
        for m in re.finditer(r"^(?:int|ssize_t) (\w+)\(([^;{]*?)struct err \*\w+\)([^;{]*);", CODE[f], flags=re.M):
            if "RL_CHECK" not in m.group(3):
                problem("results", f"{f}:{m.group(1)}", "returns an error that may be ignored (RL_CHECK is missing)")


# --- sizes and comments ---------------------------------------------------------------------------------------------

def functions(path):
    """(name, first line, length) of every function; relies on the formatter: braces of functions in column 0."""
    lines = CODE[path].split("\n")
    start = None
    for i, line in enumerate(lines):
        if line == "{":
            start = i
            j = i - 1
            while j > 0 and not re.match(r"[A-Za-z_].*\(", lines[j]):
                j -= 1
            m = re.search(r"(\w+)\s*\(", lines[j])
            name = m.group(1) if m else "?"
        elif line.startswith("}") and start is not None:
            yield name, start + 1, i - start + 1
            start = None


@rule(f"sizes: files up to {FILE_HARD} lines, functions up to {FUNCTION_HARD}")
def check_sizes():
    for f in C_FILES + H_FILES:
        n = read(f).count("\n")
        if n > FILE_HARD:
            problem("sizes", f, f"{n} lines")
        if f.endswith(".c"):
            for name, _, length in functions(f):
                if length > FUNCTION_HARD:
                    problem("sizes", f"{f}:{name}", f"{length} lines")


@rule(f"theory: every source over {THEORY_FROM} lines begins with how it works")
def check_theory():
    for f in SRC_C:
        text = read(f)
        if text.count("\n") > THEORY_FROM and not text.startswith("/*"):
            problem("theory", f, "no comment at the top")


@rule("unfinished: no notes of work to be done")
def check_unfinished():
    for f in C_FILES + H_FILES + tracked("*.sh", "*.t", "*.py", "Makefile"):
        if f == "tests/lint/structure.py":
            continue
        for n, line in enumerate(read(f).splitlines(), 1):
            if re.search(r"\b(TODO|FIXME|XXX|HACK)\b(?!XX)", line):
                problem("unfinished", f"{f}:{n}", line.strip()[:80])


@rule("names: no typedef ends in _t")
def check_typedefs():
    for f in SRC:
        for m in re.finditer(r"typedef[^;{]*?(\w+_t)\s*;|}\s*(\w+_t)\s*;", CODE[f]):
            problem("names", f"{f}:{m.group(1) or m.group(2)}", "a typedef with the suffix of libc's own")


# --- functions that may not be called ---------------------------------------------------------------------------------

BANNED = [
    # pattern, files it is allowed in, why
    (r"(?<![\w.>])system\s*\(", (), "runs a shell: proc_spawn"),
    (r"\b(?:malloc|calloc|realloc|reallocarray|strdup|strndup|v?asprintf)\s*\(", ("src/base/mem.c",), "x* of mem.h"),
    (r"\b(?:sleep|usleep|nanosleep|clock_nanosleep)\s*\(", (), "waiting is for events with deadlines"),
    (r"\b(?:readdir_r|gethostbyname|inet_ntoa|strerror|ctime|asctime|localtime|gmtime|getpwnam|getpwuid)\s*\(", (),
     "not safe, or a library that is loaded by name"),
    (r"\bset[ug]id\s*\(", (), "setresuid, setresgid: all three ids"),
    (r"\b(?:access|faccessat)\s*\([^)]*\bW_OK", (), "asks for the real uid; try the operation"),
    (r"\bmktemp\s*\(", (), "mkdtemp, or a random name with O_EXCL"),
    (r"\balloca\s*\(", (), "input-sized stacks"),
    (r"\bsignal\s*\([^)]*,\s*[a-z_]+\)", (), "sigaction"),
]


@rule("banned: functions with a safer counterpart are not called")
def check_banned():
    for f in SRC:
        for pattern, where, why in BANNED:
            if f in where or f.endswith("banned.h"):
                continue
            for m in re.finditer(pattern, CODE[f]):
                line = CODE[f].count("\n", 0, m.start()) + 1
                what = m.group(0).split("(")[0].strip()
                problem("banned", f"{f}:{what}", f"line {line}: {why}")


# What prints is the edge: the verbs, and the mains of the programs. Everything else returns an error.
@rule("printing: only the edges print")
def check_printing():
    for f in SRC_C:
        if f.startswith(("src/cmd/", "src/gen/")) or f in ("src/base/log.c", "src/image/main.c", "src/netd/main.c"):
            continue
        for m in re.finditer(r"\b(printf|puts|putchar|perror|err_print|fprintf\s*\(\s*std(?:err|out))\b", CODE[f]):
            line = CODE[f].count("\n", 0, m.start()) + 1
            problem("printing", f"{f}:{m.group(1).split('(')[0].strip()}", f"line {line}")


def calls(code, names):
    """(name, arguments, line) of every call of one of these functions."""
    for m in re.finditer(r"(?<![\w.>])(" + names + r")\s*\(", code):
        depth, i = 1, m.end()
        while i < len(code) and depth:
            depth += {"(": 1, ")": -1}.get(code[i], 0)
            i += 1
        yield m.group(1), code[m.end():i - 1], code.count("\n", 0, m.start()) + 1


CLOEXEC = {
    "open|openat|openat2|open_tree|fsopen|fsmount|fspick": r"CLOEXEC",
    "socket|socketpair": r"SOCK_CLOEXEC",
    "pipe2|dup3|eventfd|signalfd|timerfd_create|inotify_init1|epoll_create1|memfd_create|accept4": r"CLOEXEC",
    "accept|pipe|dup|epoll_create|inotify_init|creat": r"(?!)",
}


@rule("descriptors: every one is made close-on-exec")
def check_cloexec():
    for f in SRC_C:
        for names, want in CLOEXEC.items():
            for name, args, line in calls(CODE[f], names):
                if not re.search(want, args) and not re.search(r"\bflags\b", args):
                    problem("descriptors", f"{f}:{name}", f"line {line}: {' '.join(args.split())[:60]}")


# Paths that lead through something a container or an image controls are resolved by kern/safepath and mounted by
# kern/mnt and nowhere else. Calls on names of our own directories, relative to a descriptor, are normal; so this rule
# lists the files that may use path-taking calls at all.
PATH_CALLS = ("open|openat|mkdir|mkdirat|mknod|mknodat|symlink|symlinkat|link|linkat|rename|renameat|renameat2|unlink|"
              "unlinkat|rmdir|chmod|fchmodat|chown|lchown|fchownat|stat|lstat|fstatat|truncate|mount|umount|umount2|"
              "chroot|chdir|readlink|readlinkat|access|faccessat|utimensat|setxattr|lsetxattr")
PATH_FREE = ("src/base/", "src/kern/", "src/gen/")


@rule("paths: only listed files make path-taking calls above kern")
def check_paths():
    for f in SRC_C:
        if f.startswith(PATH_FREE):
            continue
        found = sorted({f"{name} (line {line})" for name, _, line in calls(CODE[f], PATH_CALLS)})
        if found:
            problem("paths", f, ", ".join(found))


# --- state ----------------------------------------------------------------------------------------------------------

@rule("state: no mutable data outside functions")
def check_state():
    for d, _, files in sorted(os.walk(f"{BUILD}/obj")):
        for o in sorted(f for f in files if f.endswith(".o")):
            source = "src/" + os.path.relpath(os.path.join(d, o), f"{BUILD}/obj")[:-2] + ".c"
            if source.startswith("src/gen/") or not os.path.exists(source):
                continue
            out = subprocess.run(["objdump", "-t", os.path.join(d, o)], capture_output=True, text=True).stdout
            for line in out.splitlines():
                m = re.match(r"[0-9a-f]+ (.{7}) (\S+)\s+([0-9a-f]+)\s+(\S+)$", line)
                if not m or "O" not in m.group(1):
                    continue
                section, symbol = m.group(2), re.sub(r"\.\d+$", "", m.group(4))
                if section.startswith((".bss", ".data", ".tbss", ".tdata", "*COM*")) and not section.startswith(
                        ".data.rel.ro"):
                    problem("state", f"{source}:{symbol}", f"mutable, in {section}")


# --- tests ----------------------------------------------------------------------------------------------------------

@rule("tests: every module has a function that a C test calls")
def check_tests():
    words = set()
    tests = {os.path.basename(t)[5:-2] for t in C_FILES if t.startswith("tests/unit/test_")}
    for t in C_FILES:
        if t.startswith(("tests/unit/", "tests/platform/", "tests/security/")):
            words |= set(re.findall(r"[A-Za-z_]\w+", CODE[t]))
    for f in SRC_C:
        if f.startswith(("src/gen/", "src/cmd/cmd_", "src/image/", "src/netd/", "src/portd/", "src/notifyd/")) or f.endswith("/main.c"):
            continue  # programs and verbs: the command-line tests are theirs
        stem = os.path.basename(f)[:-2]
        if tests & {stem[:i] for i, c in enumerate(stem) if c == "_"}:
            continue  # template_func is a part of template, and is tried through it
        out = subprocess.run(["nm", "-g", "--defined-only", f"{BUILD}/obj/{f[4:-2]}.o"], capture_output=True, text=True)
        names = {line.split()[-1] for line in out.stdout.splitlines() if line.strip()}
        if not names & words:
            problem("tests", f, "no test in tests/unit or tests/platform calls %s" % (sorted(names) or ["it"])[0])


@rule("scripts: every command-line test states how many lines it meant to have")
def check_scripts():
    for f in tracked("*.t"):
        text = read(f)
        if "done_testing" not in text and "1.." not in text:
            problem("scripts", f, "no done_testing: an early exit would pass for the end")


# --- options --------------------------------------------------------------------------------------------------------

def rl(*args):
    r = subprocess.run([f"{BUILD}/bin/rl", *args], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                       env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "RL_ROOT": "/nonexistent"})
    return r.returncode, r.stdout


def man_text(page):
    path = f"man/{page}"
    if not os.path.exists(path):
        return None
    return read(path).replace("\\-", "-").replace("\\&", "").replace("\\fB", "").replace("\\fR", "").replace("\\fI", "").replace("Fl -", "--")


@rule("options: every verb and option is in the help, the manual and the completions")
def check_options():
    if not os.path.exists(f"{BUILD}/bin/rl"):
        problem("options", "rl", "is not built")
        return
    status, out = rl("--list-verbs")
    verbs = [line.strip() for line in out.splitlines() if line.strip()]
    if status or not verbs:
        problem("options", "rl", "--list-verbs gives nothing")
        return
    shells = {s: rl("completion", s)[1] for s in ("bash", "zsh", "fish")}
    overview = rl("help")[1]
    main_page = man_text("rl.1") or ""
    for verb in verbs:
        words = verb.split()
        if words[0] not in overview:
            problem("options", verb, "is not in 'rl help'")
        page = "rl-" + "-".join(words) + ".1"
        text = man_text(page) or man_text(f"rl-{words[0]}.1") or man_text(f"rl-{words[0]}.8")
        if text is None:
            problem("options", verb, f"no manual page {page}")
        if verb not in main_page:
            problem("options", verb, "is not in rl(1)")
        status, out = rl("--list-options", verb)
        if status:
            problem("options", verb, "--list-options fails")
            continue
        usage = rl("help", "--all", *words)[1]
        for option in [w for line in out.splitlines() for w in line.split() if w.startswith("--")]:
            pattern = re.escape(option) + r"(?![\w-])"
            if not re.search(pattern, usage):
                problem("options", f"{verb}:{option}", "is not in its help")
            if text is not None and not re.search(pattern, text):
                problem("options", f"{verb}:{option}", f"is not in man/{page}")
            for shell, script in shells.items():
                bare = option[2:] if shell == "fish" else option
                if not re.search(re.escape(bare) + r"(?![\w-])", script):
                    problem("options", f"{verb}:{option}", f"is not in the completion of {shell}")


@rule("manuals: every page is formatted without a complaint")
def check_man():
    for f in sorted(os.listdir("man")) if os.path.isdir("man") else []:
        r = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", f"man/{f}"], capture_output=True,
                           text=True, env={**os.environ, "MANWIDTH": "100", "LC_ALL": "C.UTF-8"})
        if r.stderr.strip():
            problem("manuals", f"man/{f}", r.stderr.strip().splitlines()[0][:120])


def main():
    load_allowed()
    names = sys.argv[2:]
    failed = False
    count = 0
    for name, f in rule_names:
        key = name.split(":")[0]
        if names and key not in names:
            continue
        before = sum(map(len, problems.values()))
        f()
        count += 1
        found = []
        for k in list(problems):
            found += problems.pop(k)
        print(f"{'not ok' if found else 'ok'} {count} - {name}")
        failed |= bool(found)
        for p in sorted(set(found)):
            print(f"#   {p}")
    if not names:
        stale = sorted(k for k in allowed if k not in used)
        count += 1
        print(f"{'not ok' if stale else 'ok'} {count} - exceptions: each one in tests/lint/allowed.txt is still needed")
        failed |= bool(stale)
        for k in stale:
            print(f"#   {k[0]} {k[1]}")
    print(f"1..{count}")
    return failed


sys.exit(main())
