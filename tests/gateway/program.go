package gateway

import (
	"errors"
	"fmt"
	"os"
)

// Program runs what is no test but uses what tests do: it stands in for one, and
// cleans up behind it. What would end a test is its error.
func Program(run func(T)) (err error) {
	p := &program{}
	defer p.end(&err)
	run(p)
	return nil
}

type program struct{ cleanups []func() }

type failed struct{ error }

func (*program) Helper() {}

func (*program) Fatal(args ...any) { panic(failed{errors.New(fmt.Sprint(args...))}) }

func (*program) Fatalf(format string, args ...any) { panic(failed{fmt.Errorf(format, args...)}) }

func (p *program) Cleanup(f func()) { p.cleanups = append(p.cleanups, f) }

func (p *program) TempDir() string {
	dir, err := os.MkdirTemp("", "step-up-program-")
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (p *program) end(err *error) {
	if why := recover(); why != nil {
		f, ours := why.(failed)
		if !ours {
			panic(why)
		}
		*err = f.error
	}
	for i := len(p.cleanups) - 1; i >= 0; i-- {
		p.cleanups[i]()
	}
}
