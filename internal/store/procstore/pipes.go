package procstore

import (
	"os"
	"os/exec"
)

// pipes are this end of a child's standard input, output and error.
type pipes struct{ in, out, errs *os.File }

// startPiped starts cmd between pipes. After an error none of them is left open:
// the pipes of exec.Cmd would stay until the next collection if there is no
// descriptor for the last one, and so a process that has few would have none.
func startPiped(cmd *exec.Cmd) (p pipes, err error) {
	var ours, theirs []*os.File
	defer func() {
		closeAll(theirs)
		if err != nil {
			closeAll(ours)
		}
	}()
	pair := func() (r, w *os.File) {
		if err == nil {
			r, w, err = os.Pipe()
		}
		return r, w
	}
	inR, inW := pair()
	outR, outW := pair()
	errR, errW := pair()
	ours, theirs = []*os.File{inW, outR, errR}, []*os.File{inR, outW, errW}
	if err != nil {
		return pipes{}, err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = inR, outW, errW
	return pipes{in: inW, out: outR, errs: errR}, cmd.Start()
}

// closeAll closes those that were opened.
func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close() // of nil: an error, and nothing else
	}
}
