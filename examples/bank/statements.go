package bank

import (
	"bytes"
	"encoding/csv"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const monthLayout = "2006-01"

// statementMonths are the months with a statement, newest first: from that of
// the first of the lines, which come newest first, to the present one.
func statementMonths(lines []line, now time.Time) []time.Time {
	month := monthOf(now)
	first := month
	if len(lines) > 0 {
		first = monthOf(lines[len(lines)-1].Transfer.At)
	}
	var months []time.Time
	for ; !month.Before(first); month = month.AddDate(0, -1, 0) {
		months = append(months, month)
	}
	return months
}

func monthOf(t time.Time) time.Time {
	year, month, _ := t.UTC().Date()
	return time.Date(year, month, 1, 0, 0, 0, 0, time.UTC)
}

// statement serves /statements/YYYY-MM.csv: the lines of one month between its
// opening and its closing balance. Months before the customer's first transfer
// and after the present one have none.
func (a *app) statement(w http.ResponseWriter, r *http.Request, v visit) {
	name, isCSV := strings.CutSuffix(r.PathValue("file"), ".csv")
	month, err := time.Parse(monthLayout, name)
	lines := a.ledger.lines(v.Customer.Login)
	if !isCSV || err != nil || month.After(a.now()) || len(lines) == 0 || month.Before(monthOf(lines[0].Transfer.At)) {
		a.notFound(w, r, v)
		return
	}
	rows := [][]string{{"date", "reference", "party", "note", "amount", "balance"}}
	balance := v.Customer.opened
	for len(lines) > 0 && lines[0].Transfer.At.Before(month) {
		balance, lines = lines[0].Balance, lines[1:]
	}
	rows = append(rows, []string{month.Format(time.DateOnly), "", "Opening balance", "", "", balance.String()})
	next := month.AddDate(0, 1, 0)
	for _, entry := range lines {
		if !entry.Transfer.At.Before(next) {
			break
		}
		balance = entry.Balance
		rows = append(rows, []string{
			entry.Transfer.At.UTC().Format(time.DateOnly), strconv.Itoa(entry.Transfer.ID),
			entry.Party, plainCell(entry.Transfer.Note), entry.Amount.String(), balance.String(),
		})
	}
	rows = append(rows, []string{next.AddDate(0, 0, -1).Format(time.DateOnly), "", "Closing balance", "", "", balance.String()})

	var out bytes.Buffer
	if err := csv.NewWriter(&out).WriteAll(rows); err != nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="statement-`+month.Format(monthLayout)+`.csv"`)
	_, _ = w.Write(out.Bytes())
}

// plainCell keeps a note, which another customer wrote, from being read as a
// formula by the spreadsheet that opens the statement.
func plainCell(note string) string {
	if note != "" && strings.ContainsRune("=+-@", rune(note[0])) {
		return "'" + note
	}
	return note
}
