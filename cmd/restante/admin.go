package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"

	"restante/app"
	"restante/rest"
)

// adminFlags are how a command reaches a running server.
type adminFlags struct {
	Admin      string `default:"127.0.0.1:8081" placeholder:"HOST:PORT" help:"Admin listener of the server."`
	AdminName  string `placeholder:"NAME" help:"Name in its certificate, where that is not of the host of --admin."`
	AdminCA    string `name:"admin-ca" type:"existingfile" placeholder:"FILE" help:"Certificates, PEM, of which one has signed its. Default: those that the system trusts."`
	AdminToken string `placeholder:"TOKEN" help:"Its token. Default: the one in the file admin-token of --data."`
	Data       string `default:"restante-data" type:"path" placeholder:"DIR" help:"Data directory of the server, for the token."`
}

// client speaks to the server.
func (f *adminFlags) client() (*rest.Client, error) {
	token := f.AdminToken
	if token == "" {
		var err error
		token, err = app.ReadAdminToken(f.Data)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, usageError{fmt.Errorf("no admin token in %s: give --data, the data directory of the server, or --admin-token", f.Data)}
		}
		if err != nil {
			return nil, err
		}
	}
	web, err := f.http()
	if err != nil {
		return nil, err
	}
	return &rest.Client{Base: app.AdminURL(f.Admin), Token: token, HTTP: web}, nil
}

// http is how the server is reached and known again.
func (f *adminFlags) http() (*http.Client, error) {
	trusted := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: f.AdminName}
	if f.AdminCA != "" {
		text, err := os.ReadFile(f.AdminCA)
		if err != nil {
			return nil, err
		}
		trusted.RootCAs = x509.NewCertPool()
		if !trusted.RootCAs.AppendCertsFromPEM(text) {
			return nil, usageError{fmt.Errorf("--admin-ca %s holds no certificate", f.AdminCA)}
		}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = trusted
	return &http.Client{Transport: transport}, nil
}
