package main

import (
	"encoding/json"
	"fmt"
	"strings"
)

// words are what people call things, in many scripts and with every sign that
// makes trouble in addresses.
var words = []string{
	"report", "Quarterly report", "Übersicht", "Zürich straße", "résumé", "re\u0301sume\u0301 decomposed", "naïve café", "Ελληνικά", "Привет мир", "日本語の文書", "中文文件", "한국어 문서",
	"한국어 분해", "العربية", "مرحبا بالعالم", "עברית", "שלום עולם", "हिन्दी", "தமிழ்", "ไทย", "ქართული", "Հայերեն", "አማርኛ", "😀 emoji", "👨‍👩‍👧 family", "🇨🇭 flag",
	"a+b", "100% sure", "50%25", "C++ & C#", "rock'n'roll", `say "hello"`, "(draft)", "[final]", "{curly}", "~tilde", "under_score", "dash-dash", "dot.dot", "a...b", "file.tar.gz", "v1.2",
	"comma, space", "semi;colon", "at@sign", "price $5", "star*", "hash#tag", "equals=sign", "question?", "pipe|pipe", "caret^", "back`tick", "excl!", "colon: here", "less<than", "back\\slash",
	"trailing.", ".hidden", "..twodots", "two  spaces", "tab", "UPPER lower", "İstanbul", "ſ long s", "ﬁ ligature", "Å angstrom", "zero\u200bwidth", "soft\u00adhyphen", "nb\u00a0space", "×÷±", "½ ¾", "€ £ ¥", "„quotes“", "«guillemets»", "—dash—", "…ellipsis",
	"index.html", "admin", "login", "action=delete", "op", "select * from", "../etc", "null", "true", "0", "007", "1e9", "2024-05-17", "12:30", "a/b", "http://example.com/?a=b&c=d", "me@example.com", "+1 555 0100", "%2e%2e%2f", "%E4%BD%A0", "&amp;", "&lt;b&gt;", "\\u00e9",
}

// name is the n-th of endlessly many.
func name(n int) string {
	w := words[n%len(words)]
	switch turn := n / len(words); {
	case turn == 0:
		return w
	case turn%3 == 1:
		return fmt.Sprintf("%s %s", w, words[(n*7+turn)%len(words)])
	default:
		return fmt.Sprintf("%s-%d", w, turn)
	}
}

// fileNames are names that a file may have on any disk.
func fileNames(n int) (all []string) {
	for i := 0; len(all) < n; i++ {
		s := strings.NewReplacer("/", "_", "\x00", "").Replace(name(i))
		if len(s) < 120 {
			all = append(all, s)
		}
	}
	return all
}

// quote is a text as JavaScript has it.
func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}
