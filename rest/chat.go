package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"restante/textman"
)

// chatPath is where texts are posted and taken. Its clients are older than this
// server and than problem documents: answers are what they know, with more around it.
const chatPath = "/chat"

// maxChat is the octets of a request with a text, each of which may take six.
const maxChat = 6*textman.MaxText + 4<<10

// chat are the operations of texts.
type chat struct {
	*public
	texts *textman.Service
}

func (p *public) chat(mux *http.ServeMux) {
	c := chat{p, p.Chat}
	mux.HandleFunc("POST "+chatPath, c.timed(c.post))
	mux.HandleFunc("GET "+chatPath, c.timed(c.take))
	mux.HandleFunc("HEAD "+chatPath, c.timed(c.look))
	mux.HandleFunc("DELETE "+chatPath, c.timed(c.flush))
	c.describe()
}

// A chatText is a text as it is taken.
type chatText struct {
	ID   int64  `json:"id" maximum:"9007199254740991" doc:"53 bits, no two texts have the same"`
	Text string `json:"text"`
}

// A chatPosted is the answer to a text.
type chatPosted struct {
	ID int64 `json:"id" maximum:"9007199254740991" doc:"53 bits, no two texts have the same"`
}

// chatNobody is what clients compare.
const chatNobody = "Username not found"

// timed is a handler whose context ends, and whose error is answered.
func (c chat) timed(run func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), shortTimeout)
		defer cancel()
		if err := run(w, r.WithContext(ctx)); err != nil {
			c.fail(ctx, w, err)
		}
	}
}

func (c chat) post(w http.ResponseWriter, r *http.Request) error {
	in, wrong, err := readChat(r)
	if err != nil {
		return err
	}
	if len(wrong) > 0 {
		var invalid *textman.InvalidError
		if errors.As(c.texts.Check(in.username, in.text, in.timeout), &invalid) {
			wrong.add(invalid)
		}
		return wrong
	}
	if wait := c.posts.take(clientOf(r.Context())); wait > 0 {
		return tooMany("too-many-texts", "too many texts were posted from there, try again later", wait)
	}
	id, err := c.texts.Post(r.Context(), in.username, in.text, in.timeout)
	if err != nil {
		return err
	}
	return sendJSON(w, http.StatusCreated, chatPosted{id})
}

// take removes what it answers with before the answer is out: nobody can tell
// whether a client has read it, and most would rather miss a text than see it again
// and again.
func (c chat) take(w http.ResponseWriter, r *http.Request) error {
	user, err := chatUser(r)
	if err != nil {
		return err
	}
	texts, err := c.texts.Take(r.Context(), user)
	if err != nil {
		return err
	}
	if len(texts) == 0 {
		return sendJSON(w, http.StatusNotFound, chatNobody)
	}
	answer := make([]chatText, len(texts))
	for i, t := range texts {
		answer[i] = chatText(t)
	}
	return sendJSON(w, http.StatusOK, answer)
}

// look is what GET would answer now, and takes nothing: HEAD is safe (RFC 9110,
// section 9.2.1).
func (c chat) look(w http.ResponseWriter, r *http.Request) error {
	user, err := chatUser(r)
	if err != nil {
		return err
	}
	waiting, err := c.texts.Waiting(r.Context(), user)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if !waiting {
		status = http.StatusNotFound
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	return nil
}

func (c chat) flush(w http.ResponseWriter, r *http.Request) error {
	if err := c.texts.Flush(r.Context()); err != nil {
		return err
	}
	return sendJSON(w, http.StatusOK, struct{}{})
}

// sendJSON answers with a value.
func sendJSON(w http.ResponseWriter, status int, v any) error {
	var body bytes.Buffer
	encode := json.NewEncoder(&body)
	encode.SetEscapeHTML(false) // no browser takes this for a page
	if err := encode.Encode(v); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body.Bytes()) //nolint:errcheck // the client is gone
	return nil
}

// A chatProblem is a problem document that is also what clients of the older service
// expect: the first two members.
type chatProblem struct {
	Errors  map[string]string `json:"errors" doc:"what is wrong, by the name of the parameter"`
	Message string            `json:"message" example:"Input payload validation failed"`
	Type    string            `json:"type" format:"uri" example:"urn:problem:invalid-text"`
	Title   string            `json:"title" example:"Bad Request"`
	Status  int               `json:"status" example:"400"`
	Detail  string            `json:"detail"`
}

// fail answers with what went wrong.
func (c chat) fail(ctx context.Context, w http.ResponseWriter, err error) {
	var wrong wrongChat
	var invalid *textman.InvalidError
	switch {
	case errors.As(err, &wrong):
		wrong.send(w)
		return
	case errors.As(err, &invalid):
		wrong = wrongChat{}
		wrong.add(invalid)
		wrong.send(w)
		return
	case errors.Is(err, textman.ErrFlush):
		err = problem(http.StatusForbidden, "flush-not-allowed", "this server does not remove texts that nobody has taken")
	}
	writeProblem(w, refusalOf(ctx, w, c.Log, err))
}
