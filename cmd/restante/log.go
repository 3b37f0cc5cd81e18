package main

import (
	"io"
	"log/slog"
)

// logFlags are how a long-running command logs.
type logFlags struct {
	LogLevel  slog.Level `default:"info" placeholder:"LEVEL" help:"debug, info, warn or error."`
	LogFormat string     `default:"text" enum:"text,json" help:"text or json."`
}

func (f logFlags) logger(w io.Writer) *slog.Logger {
	o := &slog.HandlerOptions{Level: f.LogLevel}
	if f.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
