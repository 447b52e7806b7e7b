package badgerstore

import (
	"strings"

	"github.com/dgraph-io/badger/v4"
	"go.uber.org/zap"
)

// badgerLog passes on what Badger has to say. What it calls information, several lines for each start and
// flush, is of use only to who debugs it, and what it calls debugging, two lines for each commit, to nobody.
type badgerLog struct{ log *zap.SugaredLogger }

func (l badgerLog) Errorf(format string, args ...any) { l.log.Errorf(line(format), args...) }

func (l badgerLog) Warningf(format string, args ...any) { l.log.Warnf(line(format), args...) }

func (l badgerLog) Infof(format string, args ...any) { l.log.Debugf(line(format), args...) }

func (l badgerLog) Debugf(string, ...any) {}

func line(format string) string { return "badger: " + strings.TrimSpace(format) }

var _ badger.Logger = badgerLog{}
