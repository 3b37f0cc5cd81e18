package main

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// In a container a server is asked at an address that its certificate does not name.
func TestTheServerOfACommandIsKnownByTheNameAndTheSignerThatAreGiven(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	ask := func(name, ca string) error {
		f := adminFlags{Admin: server.URL, AdminToken: "the token of a test", AdminName: name, AdminCA: ca}
		client, err := f.client()
		if err != nil {
			return err
		}
		return client.Remove(t.Context(), "fred@example.org")
	}
	if err := ask("example.com", ca); err != nil {
		t.Errorf("by a name of the certificate: %v", err)
	}
	if ask("example.org", ca) == nil {
		t.Error("asked although the certificate has another name")
	}
	if ask("example.com", "") == nil {
		t.Error("asked although nobody who is trusted has signed the certificate")
	}
	if err := os.WriteFile(ca, []byte("none"), 0o600); err != nil {
		t.Fatal(err)
	}
	if ask("example.com", ca) == nil {
		t.Error("a file without a certificate was taken")
	}
}
