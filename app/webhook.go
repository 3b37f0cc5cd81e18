package app

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"restante/mailbox"
	"restante/webhook"
)

// validateWebhook reports what is wrong with the settings of the webhook. No error
// repeats them.
func (c *Config) validateWebhook() error {
	if (c.WebhookURL == "") != (c.WebhookSecret == "") {
		return errors.New("--webhook-url and --webhook-secret go together")
	}
	if c.WebhookURL == "" {
		return nil
	}
	if _, err := webhook.ParseURL(c.WebhookURL); err != nil {
		return fmt.Errorf("--webhook-url: %w", err)
	}
	if _, err := webhook.ParseSecret(c.WebhookSecret); err != nil {
		return fmt.Errorf("--webhook-secret: %w", err)
	}
	return nil
}

// newWebhook makes the webhook, if there is one. It outlives the announcements, which
// outlive the servers, so that what it does not send is counted.
func (a *App) newWebhook(announcements *mailbox.Announcements) error {
	c := &a.config
	if c.WebhookURL == "" {
		return nil
	}
	hook, err := webhook.New(webhook.Options{
		URL: c.WebhookURL, Secret: c.WebhookSecret, Log: a.log, Registerer: a.registry,
		Except: []string{c.TextDomain}, // texts are for those who take them
	})
	if err != nil {
		return err
	}
	announcements.Listen("webhook", hook, hook.Dropped)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { hook.Run(ctx) })
	a.onClose("webhook", func() error {
		cancel()
		running.Wait()
		return nil
	})
	return nil
}
