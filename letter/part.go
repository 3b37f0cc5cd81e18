package letter

import (
	"path"
	"strconv"
	"strings"
	"unicode"
)

// What a part is to a reader.
type role int

const (
	shown    role = iota // as text of the letter
	attached             // beside it
	holder               // of other parts
)

// A part is a leaf, or the head of a multipart.
type part struct {
	Attachment
	role     role
	charset  string
	encoding string
	boundary string
}

// describe tells what the part of that header is. within is the subtype of the
// multipart around it, or empty for the message itself.
func describe(h *header, within string) part {
	mediaType, params := parseParams(h.value[contentType])
	disposition, more := parseParams(h.value[contentDisposition])
	name := more["filename"]
	if name == "" {
		name = params["name"]
	}
	p := part{
		charset:  firstWord(params["charset"]),
		encoding: h.value[contentTransferEncoding],
		boundary: params["boundary"],
	}
	p.ContentID = unbracket(h.value[contentID])
	mediaType = firstWord(mediaType)
	switch {
	case isMediaType(mediaType):
		p.ContentType = mediaType
	case within == "digest" && mediaType == "":
		p.ContentType = "message/rfc822" // RFC 2046, section 5.1.5
	case name != "" || disposition == "attachment":
		p.ContentType = "application/octet-stream"
	default:
		p.ContentType = "text/plain"
	}
	p.Name = fileName(name)
	readable := p.ContentType == "text/plain" || p.ContentType == "text/html"
	switch {
	case strings.HasPrefix(p.ContentType, "multipart/") && p.boundary != "":
		p.role = holder
	case strings.HasPrefix(p.ContentType, "multipart/") && within == "":
		p.role, p.ContentType = shown, "text/plain" // its parts cannot be told apart
	case readable && disposition != "attachment" && (p.Name == "" || within == "" || within == "alternative"):
		p.role = shown
	default:
		p.role = attached
	}
	return p
}

// firstWord leaves out the comment that may follow a value.
func firstWord(s string) string {
	s, _, _ = strings.Cut(s, " ")
	s, _, _ = strings.Cut(s, "(")
	return s
}

// isMediaType: two tokens with a slash between them (RFC 2045, section 5.1).
func isMediaType(s string) bool {
	major, minor, ok := strings.Cut(s, "/")
	return ok && isToken(major) && isToken(minor) && len(s) <= 255
}

func isToken(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || strings.IndexByte(`()<>@,;:\"/[]?=`, s[i]) >= 0 {
			return false
		}
	}
	return s != ""
}

// mostName is what all file systems take, in octets.
const mostName = 200

// fileName is a name that a file can safely have, or nothing: no path, no
// leading dots, no character that does not show or turns the others around.
func fileName(s string) string {
	if slash := strings.LastIndexAny(s, `/\`); slash >= 0 {
		s = s[slash+1:]
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar:
			return -1
		case unicode.IsSpace(r):
			return ' '
		}
		return r
	}, s)
	s = strings.TrimLeft(s, ". ")
	s = strings.TrimRight(s, ". ")
	if len(s) <= mostName {
		return s
	}
	ext := path.Ext(s)
	if len(ext) > 20 {
		ext = ""
	}
	return strings.TrimRight(cut(s, mostName-len(ext)), ". ") + ext
}

// Endings of the names that parts get which have none.
var endings = map[string]string{
	"application/json": ".json", "application/pdf": ".pdf",
	"application/pgp-signature": ".asc", "application/pgp-encrypted": ".asc",
	"application/pkcs7-mime": ".p7m", "application/pkcs7-signature": ".p7s",
	"application/zip": ".zip", "image/gif": ".gif", "image/jpeg": ".jpg",
	"image/png": ".png", "image/webp": ".webp", "message/delivery-status": ".txt",
	"message/disposition-notification": ".txt", "message/rfc822": ".eml",
	"text/calendar": ".ics", "text/csv": ".csv", "text/html": ".html",
	"text/plain": ".txt", "text/rfc822-headers": ".txt", "text/vcard": ".vcf",
	"text/x-vcard": ".vcf",
}

// number makes p the attachment of that number.
func (p *part) number(n int) {
	p.Number = n
	if p.Name != "" {
		return
	}
	ending, ok := endings[p.ContentType]
	switch {
	case !ok && strings.HasPrefix(p.ContentType, "text/"):
		ending = ".txt"
	case !ok:
		ending = ".bin"
	}
	p.Name = "part-" + strconv.Itoa(n) + ending
}
