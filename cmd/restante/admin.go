package main

import (
	"errors"
	"fmt"
	"io/fs"

	"restante/app"
	"restante/rest"
)

// adminFlags are how a command reaches a running server.
type adminFlags struct {
	Admin      string `default:"127.0.0.1:8081" placeholder:"HOST:PORT" help:"Admin listener of the server."`
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
	return &rest.Client{Base: app.AdminURL(f.Admin), Token: token}, nil
}
