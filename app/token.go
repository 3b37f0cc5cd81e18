package app

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"restante/internal/durable"
)

func tokenFile(dir string) string { return filepath.Join(dir, "admin-token") }

// ReadAdminToken is the token of the server whose data directory this is.
func ReadAdminToken(dir string) (string, error) {
	text, err := os.ReadFile(tokenFile(dir))
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(text))
	if token == "" {
		return "", fmt.Errorf("%s is empty", tokenFile(dir))
	}
	return token, nil
}

// adminToken is the configured token, or the one of the data directory, which
// is made when it is not there.
func adminToken(c *Config) (string, error) {
	if c.AdminToken != "" {
		return c.AdminToken, nil
	}
	token, err := ReadAdminToken(c.Data)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return token, err
	}
	token = rand.Text()
	return token, durable.WriteFile(tokenFile(c.Data), []byte(token+"\n"))
}
