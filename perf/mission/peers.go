package mission

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"restante/perf/peer"
	"restante/perf/report"
	"restante/perf/scenario"
)

// Peers starts one kind of server after the other, each alone, for work, in a directory
// below temp (the system's if empty) that is gone afterwards, also where this process is
// killed. Spare accounts come on top of the users. One that is not installed is left out,
// and said so.
func Peers(ctx context.Context, temp string, kinds []string, users, spare int, say func(format string, args ...any), work func(Party) error) (err error) {
	if len(kinds) == 0 {
		return nil
	}
	d, err := newTemporary(temp)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	for _, name := range kinds {
		kind, err := peer.Find(name)
		if err != nil {
			return err
		}
		settings := peer.Settings{Dir: filepath.Join(d.dir, name), Users: users + spare}
		if name == report.Ours {
			if settings.Binary, err = peer.Build(ctx, d.dir); err != nil {
				return err
			}
		}
		err = with(ctx, kind, settings, func(s *peer.Server) error {
			say("%s %s", s.Name, s.Version)
			return work(Party{
				Name: s.Name, Version: s.Version, PIDs: s.PIDs(),
				Targets: []scenario.Target{{Name: s.Name, SMTP: s.SMTP, POP3: s.POP3}},
				Users:   users, Pattern: peer.Pattern, Password: peer.Password,
			})
		})
		if errors.Is(err, peer.ErrNotInstalled) {
			say("%s: %v", name, err)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// with has a server run for work.
func with(ctx context.Context, kind peer.Kind, settings peer.Settings, work func(*peer.Server) error) (err error) {
	s, err := kind.Start(ctx, settings)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	return work(s)
}
