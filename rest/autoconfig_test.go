package rest

import (
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

var autoconfigOptions = AutoconfigOptions{
	Domains: []string{"example.org", "temp.example.org"}, Host: "mail.example.org",
	POP3: 110, POP3S: 995, Submission: 587, Submissions: 465,
}

func askAutoconfig(o AutoconfigOptions, query string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	Autoconfig(o).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/mail/config-v1.1.xml"+query, nil))
	return w
}

func TestMailProgramsReadTheSettings(t *testing.T) {
	want, err := os.ReadFile("testdata/autoconfig.xml")
	if err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{"", "?emailaddress=fred%40example.org", "?emailaddress=Fred@TEMP.example.org"} {
		w := askAutoconfig(autoconfigOptions, query)
		if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/xml") || w.Body.String() != string(want) {
			t.Errorf("%s: %d %v\n%s", query, w.Code, w.Header(), w.Body)
		}
	}
}

func TestThereAreNoSettingsForAddressesOfOthers(t *testing.T) {
	for query, want := range map[string]int{
		"?emailaddress=fred@example.com":         http.StatusNotFound,
		"?emailaddress=fred@evil.example.org":    http.StatusNotFound,
		"?emailaddress=fred":                     http.StatusUnprocessableEntity,
		"?emailaddress=%25EMAILADDRESS%25":       http.StatusUnprocessableEntity,
		"?emailaddress=a%0d%0ab:c%40example.org": http.StatusUnprocessableEntity,
	} {
		w := askAutoconfig(autoconfigOptions, query)
		if w.Code != want || w.Header().Get("Content-Type") != problemType {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
	}
}

func TestAPortThatIsOffIsNotNamed(t *testing.T) {
	o := autoconfigOptions
	o.POP3, o.Submission, o.Submissions = 0, 0, 0
	var got clientConfig
	if err := xml.Unmarshal(askAutoconfig(o, "").Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if p := got.Provider; len(p.Incoming) != 1 || p.Incoming[0].Port != 995 || len(p.Outgoing) != 0 {
		t.Errorf("incoming %+v, outgoing %+v", p.Incoming, p.Outgoing)
	}
}

func TestADomainCannotBreakTheSettings(t *testing.T) {
	o := autoconfigOptions
	o.Host = `<a>&"`
	var got clientConfig
	if err := xml.Unmarshal(askAutoconfig(o, "").Body.Bytes(), &got); err != nil || got.Provider.Incoming[0].Host != o.Host {
		t.Errorf("%v: %+v", err, got)
	}
}
