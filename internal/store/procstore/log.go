package procstore

import (
	"encoding/json"
	"os"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// The child's log goes to its standard error as lines of JSON. Whatever else
// comes there, the last words of a program that crashed, is no JSON.
var lineKeys = zapcore.EncoderConfig{
	LevelKey: "level", MessageKey: "message", LineEnding: "\n",
	EncodeLevel: zapcore.LowercaseLevelEncoder, EncodeTime: zapcore.ISO8601TimeEncoder, EncodeDuration: zapcore.StringDurationEncoder,
}

func childLog(level int8) *zap.Logger {
	return zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(lineKeys), zapcore.Lock(os.Stderr), zapcore.Level(level)))
}

// logLine writes one line of the child's log to log. It reports whether it was
// one.
func logLine(log *zap.Logger, line []byte) bool {
	if len(line) == 0 || line[0] != '{' {
		return false
	}
	var fields map[string]any
	if err := json.Unmarshal(line, &fields); err != nil {
		return false
	}
	var level zapcore.Level
	name, ok := fields["level"].(string)
	if !ok || level.Set(name) != nil || level > zapcore.ErrorLevel { // none may end the gateway
		return false
	}
	message, _ := fields["message"].(string)
	delete(fields, "level")
	delete(fields, "message")
	if entry := log.Check(level, message); entry != nil {
		more := make([]zap.Field, 0, len(fields))
		for k, v := range fields {
			more = append(more, zap.Any(k, v))
		}
		entry.Write(more...)
	}
	return true
}

// words keeps what a child wrote that is no line of its log: the beginning,
// where the reason of a crash stands.
type words struct{ kept []byte }

const maxWords = 4 << 10

func (w *words) add(line []byte) {
	if room := maxWords - len(w.kept); room > 0 {
		w.kept = append(w.kept, line[:min(len(line), room)]...)
		w.kept = append(w.kept, '\n')
	}
}
