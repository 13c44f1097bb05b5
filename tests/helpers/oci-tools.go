// oci-tools - what the library of the OCI runtime-tools says, for tests/cli/88-oci-library-root.t.
//
//	oci-tools default BUNDLE     write the library's own default configuration as BUNDLE/config.json
//	oci-tools validate BUNDLE    the library's opinion of BUNDLE/config.json
//	oci-tools limits PID PATH    what the library finds in a container's control groups of v1
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/hashicorp/go-multierror"
	"github.com/opencontainers/runtime-tools/cgroups"
	"github.com/opencontainers/runtime-tools/generate"
	"github.com/opencontainers/runtime-tools/validate"
)

func writeDefault(bundle string) error {
	g, err := generate.New("linux")
	if err != nil {
		return err
	}
	return g.SaveToFile(filepath.Join(bundle, "config.json"), generate.ExportOptions{})
}

// The schema would be fetched from the network, so the checks of the library are called one by one, but that one.
func check(bundle string) error {
	v, err := validate.NewValidatorFromPath(bundle, true, "linux")
	if err != nil {
		return err
	}
	checks := []func() error{v.CheckPlatform, v.CheckRoot, v.CheckMandatoryFields, v.CheckSemVer, v.CheckMounts, v.CheckProcess,
		v.CheckLinux, v.CheckAnnotations, v.CheckHooks}
	var all *multierror.Error
	for _, f := range checks {
		all = multierror.Append(all, f())
	}
	return all.ErrorOrNil()
}

func limits(pid int, path string) error {
	cg, err := cgroups.FindCgroup()
	if err != nil {
		return err
	}
	pids, err := cg.GetPidsData(pid, path)
	if err != nil {
		return err
	}
	cpu, err := cg.GetCPUData(pid, path)
	if err != nil {
		return err
	}
	memory, err := cg.GetMemoryData(pid, path)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]interface{}{"pids": pids.Limit, "shares": cpu.Shares, "quota": cpu.Quota, "memory": memory.Limit})
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "default":
		return writeDefault(args[1])
	case len(args) == 2 && args[0] == "validate":
		return check(args[1])
	case len(args) == 3 && args[0] == "limits":
		pid, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		return limits(pid, args[2])
	}
	return fmt.Errorf("usage: oci-tools default|validate BUNDLE, limits PID PATH")
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
