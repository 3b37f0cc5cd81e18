package rest

import (
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"restante/textman"
)

// describe adds the operations of texts to the description.
func (c chat) describe() {
	longest := int64(c.texts.MaxTimeout.Seconds())
	text := textSchema("the text", 1)
	text.MaxLength = ptr(textman.MaxText)
	user := textSchema("not all digits, and not longer than 64 octets; capital letters and blanks count as three", 1)
	user.MaxLength, user.Pattern = ptr(64), "[^0-9]"
	fields := map[string]*huma.Schema{
		"username": user,
		"text":     text,
		"message":  textSchema("the same as text, for older clients", 0),
		"timeout": {
			Type: "integer", Description: "seconds until the text is gone", Default: int64(textman.DefaultTimeout.Seconds()),
			Minimum: ptr(textman.MinTimeout.Seconds()), Maximum: ptr(float64(longest)),
		},
	}
	form := &huma.Schema{Type: "object", Properties: fields, AdditionalProperties: false}
	username := &huma.Param{Name: "username", In: "query", Schema: user, Description: "whose texts", Required: true}
	nobody := c.answer("There are no texts for the user", "application/json", &huma.Schema{Type: "string", Enum: []any{chatNobody}})

	post := c.operation(http.MethodPost, "post-text", "Post a text for a user",
		"The parameters may also be in the query. A text is kept until the user takes it or its time is over, and it can be read by POP3 as well.",
		http.StatusUnsupportedMediaType, http.StatusTooManyRequests, http.StatusInsufficientStorage)
	for _, name := range postParameters {
		post.Parameters = append(post.Parameters, &huma.Param{Name: name, In: "query", Schema: fields[name]})
	}
	post.RequestBody = &huma.RequestBody{Content: map[string]*huma.MediaType{
		"application/x-www-form-urlencoded": {Schema: form}, "application/json": {Schema: form},
	}}
	post.Responses["201"] = c.answer("Posted", "application/json", c.schema(chatPosted{}))

	take := c.operation(http.MethodGet, "take-texts", "Take the texts of a user",
		"The newest comes first. What is answered is removed. At most 1000 come at once, and there may be more. "+
			"A text comes at least once: two servers that are asked at the same time may both answer with it.")
	take.Parameters = []*huma.Param{username}
	take.Responses["200"] = c.answer("The texts", "application/json", &huma.Schema{Type: "array", Items: c.schema(chatText{}), MinItems: ptr(1)})
	take.Responses["404"] = nobody

	look := c.operation(http.MethodHead, "look-for-texts", "See whether a user has texts", "Nothing is taken.")
	look.Parameters = []*huma.Param{username}
	look.Responses["200"] = &huma.Response{Description: "There are some"}
	look.Responses["404"] = &huma.Response{Description: "There are none"}

	flush := c.operation(http.MethodDelete, "flush-texts", "Remove the texts of all users",
		"Only a server that is there for tests allows it.", http.StatusForbidden)
	flush.Responses["200"] = c.answer("Removed", "application/json", &huma.Schema{Type: "object"})

	for _, op := range []*huma.Operation{post, take, look, flush} {
		c.api.OpenAPI().AddOperation(op)
	}
}

// operation is one on texts, with the problems that it may answer beside those that
// every operation may. A wrong parameter has a shape of its own.
func (c chat) operation(method, id, summary, description string, problems ...int) *huma.Operation {
	op := &huma.Operation{
		OperationID: id, Method: method, Path: chatPath, Tags: []string{"texts"},
		Summary: summary, Description: description, Responses: map[string]*huma.Response{},
	}
	for _, status := range append(problems, append(c.api.errors, http.StatusInternalServerError)...) {
		op.Responses[strconv.Itoa(status)] = c.answer(http.StatusText(status), problemType, c.schema(huma.ErrorModel{}))
	}
	op.Responses["400"] = c.answer(http.StatusText(http.StatusBadRequest), problemType, c.schema(chatProblem{}))
	return op
}

func (c chat) answer(description, contentType string, s *huma.Schema) *huma.Response {
	return &huma.Response{Description: description, Content: map[string]*huma.MediaType{contentType: {Schema: s}}}
}

func textSchema(description string, least int) *huma.Schema {
	return &huma.Schema{Type: "string", Description: description, MinLength: ptr(least)}
}

func ptr[T any](v T) *T { return &v }
