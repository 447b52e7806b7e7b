package sentcode

import (
	"strings"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
)

// sentences are what messages say in one language.
type sentences struct {
	forAction string // a code for {label}
	alone     string // a code that confirms an enrollment
	unasked   string // for somebody who did not ask for it
	subject   string // of a mail: never with the code, which lists of mails show
}

// words are the sentences by language, as pages have them.
var words = map[string]sentences{
	"en": {
		"{code} is your code for {label} ({issuer}). Nobody from us will ever ask you for it.",
		"{code} is your code ({issuer}). Nobody from us will ever ask you for it.",
		"If you did not ask for it, do not enter it anywhere, and change your password: somebody may be signed in as you.",
		"Your code",
	},
	"de": {
		"{code} ist Ihr Code für {label} ({issuer}). Niemand von uns wird Sie jemals danach fragen.",
		"{code} ist Ihr Code ({issuer}). Niemand von uns wird Sie jemals danach fragen.",
		"Wenn Sie ihn nicht angefordert haben, geben Sie ihn nirgends ein und ändern Sie Ihr Passwort: Möglicherweise ist jemand in Ihrem Namen angemeldet.",
		"Ihr Code",
	},
	"es": {
		"{code} es su código para {label} ({issuer}). Nadie de nuestra parte se lo pedirá nunca.",
		"{code} es su código ({issuer}). Nadie de nuestra parte se lo pedirá nunca.",
		"Si no lo ha solicitado, no lo introduzca en ningún sitio y cambie su contraseña: es posible que alguien haya iniciado sesión en su nombre.",
		"Su código",
	},
	"fr": {
		"{code} est votre code pour {label} ({issuer}). Personne chez nous ne vous le demandera jamais.",
		"{code} est votre code ({issuer}). Personne chez nous ne vous le demandera jamais.",
		"Si vous ne l’avez pas demandé, ne le saisissez nulle part et changez votre mot de passe\u00a0: quelqu’un est peut-être connecté à votre place.",
		"Votre code",
	},
	"ja": {
		"{code} は「{label}」の確認コードです（{issuer}）。担当者がこのコードをお尋ねすることはありません。",
		"{code} は確認コードです（{issuer}）。担当者がこのコードをお尋ねすることはありません。",
		"お心当たりがない場合は、どこにも入力せず、パスワードを変更してください。第三者がログインしている可能性があります。",
		"確認コード",
	},
	"ar": {
		"{code} هو رمزك لـ \u2068{label}\u2069 (\u2068{issuer}\u2069). لن يطلبه منك أحد من طرفنا أبدًا.",
		"{code} هو رمزك (\u2068{issuer}\u2069). لن يطلبه منك أحد من طرفنا أبدًا.",
		"إذا لم تطلبه، فلا تُدخله في أي مكان وغيّر كلمة المرور: فقد يكون شخص ما قد سجّل الدخول باسمك.",
		"رمزك",
	},
}

// in are the sentences of a language, English for one that is not there.
func in(lang string) sentences {
	primary, _, _ := strings.Cut(strings.ToLower(lang), "-")
	if w, ok := words[primary]; ok {
		return w
	}
	return words["en"]
}

// Sentence tells its reader the code of m, and what it is for.
func (c Codes) Sentence(m ceremony.Message) string {
	text := in(m.Lang).alone
	if m.Label != "" {
		text = in(m.Lang).forAction
	}
	// All at once: a label that looks like a place is left as it is.
	return strings.NewReplacer("{code}", m.Code, "{label}", m.Label, "{issuer}", c.Issuer).Replace(text)
}

// Subject is that of a mail with m.
func Subject(m ceremony.Message) string { return in(m.Lang).subject }

// Unasked tells the reader of m what to do who did not ask for it.
func Unasked(m ceremony.Message) string { return in(m.Lang).unasked }
