package records

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"sync"
)

// keepUnknown returns the JSON value in place of the stored one, with the members
// of stored that a T does not have: a newer version of the gateway wrote them, and
// an older one that rewrites the record, as during a rolling upgrade, must not drop
// them. It goes into members that are structs, and into lists of structs, whose
// elements are matched by what names them; see nameOf. What a T has and value
// leaves out was taken away on purpose.
func keepUnknown[T any](stored, value []byte) []byte {
	merged, changed := merge(reflect.TypeFor[T](), stored, value)
	if !changed {
		return value
	}
	return merged
}

func merge(t reflect.Type, stored, value json.RawMessage) (_ json.RawMessage, changed bool) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Struct:
		if reflect.PointerTo(t).Implements(unmarshaler) {
			return value, false // it has a form of its own, such as a time
		}
		return mergeStruct(t, stored, value)
	case reflect.Slice:
		elem := t.Elem()
		for elem.Kind() == reflect.Pointer {
			elem = elem.Elem()
		}
		if elem.Kind() == reflect.Struct && !reflect.PointerTo(elem).Implements(unmarshaler) {
			return mergeList(elem, stored, value)
		}
	}
	return value, false
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

func mergeStruct(t reflect.Type, stored, value json.RawMessage) (json.RawMessage, bool) {
	var before, after map[string]json.RawMessage
	if json.Unmarshal(stored, &before) != nil || json.Unmarshal(value, &after) != nil || after == nil {
		return value, false
	}
	known, changed := membersOf(t), false
	for name, old := range before {
		member, ok := known[strings.ToLower(name)]
		switch {
		case !ok:
			after[name], changed = old, true
		case after[name] != nil:
			merged, did := merge(member, old, after[name])
			if did {
				after[name], changed = merged, true
			}
		}
	}
	if !changed {
		return value, false
	}
	return marshal(after), true
}

func mergeList(elem reflect.Type, stored, value json.RawMessage) (json.RawMessage, bool) {
	var before, after []json.RawMessage
	if json.Unmarshal(stored, &before) != nil || json.Unmarshal(value, &after) != nil {
		return value, false
	}
	named := make(map[string]json.RawMessage, len(before))
	for _, old := range before {
		if name := nameOf(elem, old); name != "" {
			named[name] = old
		}
	}
	changed := false
	for i := range after {
		old, ok := named[nameOf(elem, after[i])]
		if !ok {
			continue
		}
		merged, did := mergeStruct(elem, old, after[i])
		if did {
			after[i], changed = merged, true
		}
	}
	if !changed {
		return value, false
	}
	return marshal(after), true
}

// nameOf is what an element of a list is known by, as JSON: its id, or the hash of
// what it stands for. It is empty for one that has neither.
func nameOf(elem reflect.Type, element json.RawMessage) string {
	known := membersOf(elem)
	var members map[string]json.RawMessage
	if json.Unmarshal(element, &members) != nil {
		return ""
	}
	for _, name := range []string{"id", "hash"} {
		if _, ok := known[name]; ok {
			return string(bytes.TrimSpace(members[name]))
		}
	}
	return ""
}

// marshal encodes what was decoded from JSON.
func marshal(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil { // never happens: the members are valid JSON
		panic("records: encoding members: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// members remembers what membersOf found.
var members sync.Map // of map[string]reflect.Type by reflect.Type

// membersOf are the members of a struct in JSON, by their names in lower case:
// encoding/json takes any case for the same member.
func membersOf(t reflect.Type) map[string]reflect.Type {
	if found, ok := members.Load(t); ok {
		return found.(map[string]reflect.Type)
	}
	found := make(map[string]reflect.Type, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || !f.IsExported() {
			continue
		}
		if name == "" {
			name = f.Name
		}
		found[strings.ToLower(name)] = f.Type
	}
	members.Store(t, found)
	return found
}
