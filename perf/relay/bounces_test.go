package main

import (
	"errors"
	"strings"
	"testing"
)

const notification = `From: Mail Delivery System <MAILER-DAEMON@example.test>
To: <user0@example.test>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
	boundary="b"

--b
Content-Type: text/plain; charset=utf-8

It was not delivered.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; example.test

Final-Recipient: rfc822; nobody@elsewhere.example
Action: failed
Status: 5.1.1
Last-Attempt-Date: Sun, 22 Nov 2026 21:00:48 +0000

--b
Content-Type: text/rfc822-headers

Subject: x

--b--
`

func TestANotificationIsReadBack(t *testing.T) {
	b, err := parseBounce([]byte(notification))
	want := bounce{finalRecipient: "nobody@elsewhere.example", action: "failed", status: "5.1.1", lastAttempt: "Sun, 22 Nov 2026 21:00:48 +0000"}
	if err != nil || b != want {
		t.Errorf("%+v, %v", b, err)
	}
}

func TestWhatIsNoNotificationIsAnError(t *testing.T) {
	for _, c := range []struct{ old, new string }{
		{"multipart/report", "multipart/mixed"},
		{"report-type=delivery-status", "report-type=disposition-notification"},
		{"Reporting-MTA", "X-Reporting-MTA"},
		{"Status: 5.1.1\n", ""},
		{"text/rfc822-headers", "text/html"},
		{"message/delivery-status\n", "text/plain\n"},
		{"\n--b--", "\n--b\nContent-Type: text/plain\n\nmore\n--b--"},
		{"\n--b\nContent-Type: text/rfc822-headers\n\nSubject: x\n", ""},
	} {
		if _, err := parseBounce([]byte(strings.Replace(notification, c.old, c.new, 1))); !errors.Is(err, errNoBounce) {
			t.Errorf("with %q in place of %q: %v", c.new, c.old, err)
		}
	}
}
