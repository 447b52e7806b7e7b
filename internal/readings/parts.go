package readings

import (
	"io"
	"mime"
	"mime/multipart"
	"strings"
)

// parts reads a body as Go's parser of multipart/form-data does, beside the
// search of multipart that minds no boundary. form reports that it is one by the
// letter: it begins with its boundary, ends with it, and every part is a field's
// or a file's. exact reports that the wanted field is in one part alone, written as
// browsers write it, with a harmless value.
//
// A part may be a body of its own: JSON in it is read, since applications bind it
// to their parameters (Spring's @RequestPart); of XML and the like it cannot be
// told, but in a file that a person chose.
func (f *fieldReader) parts(field *Field, contentType, kind, body string) (form, exact bool) {
	if kind != "multipart/form-data" {
		return false, false
	}
	_, params, err := mime.ParseMediaType(contentType)
	if boundary := params["boundary"]; err != nil || boundary == "" || !strings.HasPrefix(body, "--"+boundary) {
		return false, false
	}
	r := multipart.NewReader(strings.NewReader(body), params["boundary"])
	found, plain := 0, true
	for n := 0; ; n++ {
		part, err := r.NextRawPart()
		if err == io.EOF {
			return true, (found == 1 || found > 1 && f.every) && plain && n <= maxPlain
		}
		if err != nil || part.FormName() == "" && part.FileName() == "" {
			return false, false
		}
		if !f.partBody(field, part) {
			return false, false
		}
		if !field.not && !f.every || field.json || part.FormName() != f.names[0] {
			continue
		}
		found++
		value, err := io.ReadAll(part)
		plain = err == nil && plain && len(part.Header) == 1 && f.exactly(string(value)) &&
			part.Header.Get("Content-Disposition") == `form-data; name="`+f.names[0]+`"`
	}
}

// partBody reads a part that says to be a body of its own. It is false where
// cannot be told what is in it.
func (f *fieldReader) partBody(field *Field, part *multipart.Part) bool {
	kind, _, _ := strings.Cut(lowerASCII(part.Header.Get("Content-Type")), ";")
	kind = strings.Trim(kind, blanks)
	switch name := part.FileName(); {
	case strings.Contains(kind, "json"):
		text, err := io.ReadAll(part)
		if err != nil {
			return false
		}
		j := jsonReader{field: field, sink: f}
		j.read(string(text))
		return true
	case kind == "", kind == "text/plain", kind == "application/octet-stream":
		return true
	case strings.HasPrefix(kind, "image/"), strings.HasPrefix(kind, "audio/"), strings.HasPrefix(kind, "video/"):
		return true
	default:
		return name != "" && name != "blob" // as scripts name what no person chose
	}
}
