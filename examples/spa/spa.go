// Package spa is a small single-page application with a JSON API: notes that can
// be read, added and deleted. It knows nothing of second factors; its page has one
// line for the gateway, the script tag in assets/index.html.
//
// It keeps everything in memory and has no users: anyone who reaches it may do
// everything. It is no example of how to write an application.
package spa

import (
	"embed"
	"encoding/json"
	"io/fs"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
)

//go:embed assets
var assets embed.FS

// Caddyfile is the example's configuration.
//
//go:embed Caddyfile
var Caddyfile string

// Note is one note, as the API shows it.
type Note struct {
	ID   int    `json:"id"`
	Text string `json:"text"`
}

type application struct {
	mu    sync.Mutex
	notes map[int]Note
	next  int
}

// New makes an application with three notes in it.
func New() http.Handler {
	a := &application{notes: map[int]Note{}}
	for _, text := range []string{"Buy milk", "Call Bob", "Water the plants"} {
		a.keep(text)
	}
	files, err := fs.Sub(assets, "assets")
	if err != nil {
		panic(err) // the directory is embedded above
	}
	m := http.NewServeMux()
	m.Handle("GET /", http.FileServerFS(files))
	m.HandleFunc("GET /api/notes", a.list)
	m.HandleFunc("POST /api/notes", a.add)
	m.HandleFunc("DELETE /api/notes/{id}", a.remove)
	return m
}

func (a *application) keep(text string) Note {
	a.next++
	n := Note{ID: a.next, Text: text}
	a.notes[n.ID] = n
	return n
}

func (a *application) list(w http.ResponseWriter, _ *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	reply(w, http.StatusOK, slices.SortedFunc(maps.Values(a.notes), func(x, y Note) int { return x.ID - y.ID }))
}

func (a *application) add(w http.ResponseWriter, r *http.Request) {
	var n Note
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096)).Decode(&n); err != nil || n.Text == "" {
		http.Error(w, "a note has a text", http.StatusBadRequest)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	reply(w, http.StatusCreated, a.keep(n.Text))
}

func (a *application) remove(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.PathValue("id"))
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.notes[id]; err != nil || !ok {
		http.NotFound(w, r)
		return
	}
	delete(a.notes, id)
	w.WriteHeader(http.StatusNoContent)
}

func reply(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}
