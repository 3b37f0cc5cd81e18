package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"restante/textman"
)

// A chatInput is a text that is to be posted.
type chatInput struct {
	username, text string
	timeout        time.Duration
}

// A wrongChat says what is wrong with a request, by the name of the parameter.
type wrongChat map[string]string

func (w wrongChat) Error() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(w)) {
		all = append(all, name+": "+w[name])
	}
	return strings.Join(all, "; ")
}

// add takes over what the service says of parameters of which nothing was said.
func (w wrongChat) add(invalid *textman.InvalidError) {
	for name, why := range map[string]string{"username": invalid.User, "text": invalid.Text, "timeout": invalid.Timeout} {
		if w[name] == "" && why != "" {
			w[name] = why
		}
	}
}

// unknown notes a parameter that nobody asked for, without the whole of its name.
func (w wrongChat) unknown(place, name string) {
	w[place] = fmt.Sprintf("has a parameter %.40q that is not known", name)
}

// send answers with both shapes.
func (w wrongChat) send(rw http.ResponseWriter) {
	p := problem(http.StatusBadRequest, "invalid-text", w.Error())
	body, err := json.Marshal(chatProblem{w, "Input payload validation failed", p.Type, p.Title, p.Status, p.Detail})
	if err != nil {
		panic("rest: marshal a problem: " + err.Error()) // strings and numbers only
	}
	rw.Header().Set("Content-Type", problemType)
	rw.WriteHeader(p.Status)
	rw.Write(append(body, '\n')) //nolint:errcheck // the client is gone
}

var (
	postParameters = []string{"username", "text", "message", "timeout"}
	takeParameters = []string{"username"}
)

// parameters are the values that a request gives to each name.
type parameters map[string][]string

// readChat reads what is to be posted, from the query and from the body. What is wrong
// may be nothing; the error is that the body is of a kind that is not understood.
func readChat(r *http.Request) (in chatInput, wrong wrongChat, err error) {
	given, wrong := queryOf(r, postParameters)
	if err := given.addBody(r, wrong); err != nil {
		return in, nil, err
	}
	in.username = given.one("username", wrong)
	in.text = given.one("text", wrong)
	switch message := given.one("message", wrong); {
	case in.text == "":
		in.text = message
	case message != "" && message != in.text:
		wrong["message"] = "must not differ from text"
	}
	in.timeout = textman.DefaultTimeout
	if _, ok := given["timeout"]; ok {
		in.timeout = seconds(given.one("timeout", wrong), wrong)
	}
	return in, wrong, nil
}

// chatUser is the user that a query is about.
func chatUser(r *http.Request) (string, error) {
	given, wrong := queryOf(r, takeParameters)
	user := given.one("username", wrong)
	if len(wrong) > 0 {
		return "", wrong
	}
	return user, nil
}

// queryOf are the parameters of the query.
func queryOf(r *http.Request, known []string) (given parameters, wrong wrongChat) {
	given, wrong = parameters{}, wrongChat{}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		wrong["query"] = "is malformed"
	}
	given.add(values, known, "query", wrong)
	return given, wrong
}

// add takes over values by the names that are known.
func (p parameters) add(values url.Values, known []string, place string, wrong wrongChat) {
	for name, values := range values {
		if !slices.Contains(known, name) {
			wrong.unknown(place, name)
			continue
		}
		p[name] = append(p[name], values...)
	}
}

// one is the value of a parameter, which may be given more than once if it is the
// same.
func (p parameters) one(name string, wrong wrongChat) string {
	values := slices.Compact(p[name])
	switch len(values) {
	case 0:
		return ""
	case 1:
		return values[0]
	}
	wrong[name] = "is given twice and differs"
	return ""
}

// addBody takes over the parameters of the body. Its error is that the body is of a
// kind that is not understood.
func (p parameters) addBody(r *http.Request, wrong wrongChat) error {
	body, err := io.ReadAll(r.Body) // the door has read it
	if err != nil {
		return err
	}
	if len(body) == 0 {
		return nil
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case err == nil && kind == "application/json":
		p.addJSON(body, wrong)
	case err == nil && kind == "application/x-www-form-urlencoded":
		values, err := url.ParseQuery(string(body))
		if err != nil {
			wrong["body"] = "is malformed"
		}
		p.add(values, postParameters, "body", wrong)
	default:
		return problem(http.StatusUnsupportedMediaType, "unsupported-media-type", "a text is application/x-www-form-urlencoded or application/json")
	}
	return nil
}

func (p parameters) addJSON(body []byte, wrong wrongChat) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil || members == nil {
		wrong["body"] = "is not a JSON object"
		return
	}
	for name, raw := range members {
		switch {
		case !slices.Contains(postParameters, name):
			wrong.unknown("body", name)
		case string(raw) == "null":
		case name == "timeout":
			// A number as it stands; a string would be one in quotes and so none.
			p[name] = append(p[name], string(raw))
		default:
			var value string
			if err := json.Unmarshal(raw, &value); err != nil {
				wrong[name] = "must be a string"
				continue
			}
			p[name] = append(p[name], value)
		}
	}
}

// seconds reads a timeout. Of a number that no timeout can have, the service says
// what it may be.
func seconds(s string, wrong wrongChat) time.Duration {
	n, err := strconv.ParseInt(s, 10, 64)
	switch {
	case err == nil && n > 0 && n < 1<<32:
		return time.Duration(n) * time.Second
	case err == nil, errors.Is(err, strconv.ErrRange):
		return 0
	}
	if wrong["timeout"] == "" {
		wrong["timeout"] = "must be a whole number of seconds"
	}
	return 0
}
