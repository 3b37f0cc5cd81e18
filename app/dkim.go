package app

import (
	"errors"
	"fmt"
	"io/fs"

	"restante/relay"
)

// DKIMRecord is the line of a zone file for a key in a directory, which is made where it
// is not there: RSA, or Ed25519.
func DKIMRecord(dir, domain, selector string, ed25519 bool) (string, error) {
	k, err := relay.MakeDKIMKey(dir, domain, selector, ed25519)
	if err == nil {
		return k.ZoneLine(), nil
	}
	if !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	keys, err := relay.OpenDKIM(dir)
	if err != nil {
		return "", err
	}
	for _, k := range keys.Keys(domain) {
		if k.Selector == selector {
			return k.ZoneLine(), nil
		}
	}
	return "", fmt.Errorf("no key of %s for the selector %s", domain, selector)
}
