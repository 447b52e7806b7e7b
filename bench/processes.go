package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// childrenOf are the processes that a process has started and that run, on Linux.
func childrenOf(pid int) (children []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it ended
		}
		_, after, _ := strings.Cut(string(text), ") ") // of its name, which may hold anything
		var state string
		var parent, child int
		fmt.Sscan(after, &state, &parent)
		fmt.Sscan(string(text), &child)
		if parent == pid {
			children = append(children, child)
		}
	}
	return children
}

// busy is how long a process and its children were on processors, on Linux.
func busy(pid int) (time.Duration, error) {
	var total time.Duration
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return 0, err
	}
	for _, name := range threads {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it ended
		}
		var ran int64
		fmt.Sscan(string(text), &ran)
		total += time.Duration(ran)
	}
	for _, child := range childrenOf(pid) {
		more, err := busy(child)
		if err != nil {
			return 0, err
		}
		total += more
	}
	return total, nil
}
