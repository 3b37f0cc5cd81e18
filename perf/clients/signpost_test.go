package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestASignpostLeadsToOneHostOnly(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s%s", r.Host, r.URL)
	}))
	defer server.Close()
	s, err := startSignpost("known.test", strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	transport := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: s.addr})}
	defer transport.CloseIdleConnections()
	for asked, want := range map[string]string{
		"http://known.test/.well-known/a?b=c": "200 known.test/.well-known/a?b=c",
		"http://autoconfig.known.test/a":      "502 no such host\n",
		"http://elsewhere.test/":              "502 no such host\n",
	} {
		answer, err := (&http.Client{Transport: transport}).Get(asked)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if got := fmt.Sprintf("%d %s", answer.StatusCode, body); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", asked, got, err, want)
		}
	}
	if _, err := (&http.Client{Transport: transport}).Get("https://known.test/"); err == nil {
		t.Error("somebody is there under TLS")
	}
}
