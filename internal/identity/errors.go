package identity

import "errors"

var (
	// ErrNobody reports that nobody is signed in, or that what the request brings
	// proves nobody.
	ErrNobody = errors.New("nobody is signed in")
	// ErrAmbiguous reports that the request carries a credential twice, or two
	// that differ. The application may read another than the gateway does, so
	// neither is believed.
	ErrAmbiguous = errors.New("request carries two credentials")
	// ErrInvalid reports that the user's id cannot be kept: it is too long, or its
	// spelling is not certain.
	ErrInvalid = errors.New("the user id cannot be used")
)
