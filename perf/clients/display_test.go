package main

import (
	"bytes"
	"encoding/binary"
	"image/color"
	"testing"
)

// dump makes a window dump as Xvfb does, with a name, one colour in its table
// and lines that are longer than their pixels.
func dump(t *testing.T, change func(*xwdHeader)) []byte {
	t.Helper()
	h := xwdHeader{
		HeaderSize: 104, FileVersion: 7, PixmapFormat: 2, PixmapDepth: 24, Width: 2, Height: 2,
		BitsPerPixel: 32, BytesPerLine: 12, RedMask: 0xff0000, GreenMask: 0xff00, BlueMask: 0xff, Colors: 1,
	}
	change(&h)
	var b bytes.Buffer
	if err := binary.Write(&b, binary.BigEndian, h); err != nil {
		t.Fatal(err)
	}
	b.Write(make([]byte, 104-b.Len()+xwdColor))
	b.Write([]byte{1, 2, 3, 0, 4, 5, 6, 0, 0xee, 0xee, 0xee, 0xee})
	b.Write([]byte{7, 8, 9, 0, 10, 11, 12, 0, 0xee, 0xee, 0xee, 0xee})
	return b.Bytes()
}

func TestAWindowDumpIsAPicture(t *testing.T) {
	picture, err := readXWD(dump(t, func(*xwdHeader) {}))
	if err != nil {
		t.Fatal(err)
	}
	for y, row := range [][]color.RGBA{{{3, 2, 1, 255}, {6, 5, 4, 255}}, {{9, 8, 7, 255}, {12, 11, 10, 255}}} {
		for x, want := range row {
			if got := picture.At(x, y); got != want {
				t.Errorf("pixel %d, %d is %v, want %v", x, y, got, want)
			}
		}
	}
}

func TestAWindowDumpOfAnotherFormIsRefused(t *testing.T) {
	for name, change := range map[string]func(*xwdHeader){
		"version":    func(h *xwdHeader) { h.FileVersion = 6 },
		"depth":      func(h *xwdHeader) { h.BitsPerPixel = 8 },
		"too short":  func(h *xwdHeader) { h.Height = 3 },
		"short line": func(h *xwdHeader) { h.BytesPerLine = 4 },
		"huge":       func(h *xwdHeader) { h.HeaderSize, h.BytesPerLine, h.Height = 1<<32-1, 1<<32-1, 1<<32-1 },
	} {
		if _, err := readXWD(dump(t, change)); err == nil {
			t.Errorf("%s: read", name)
		}
	}
	if _, err := readXWD([]byte("short")); err == nil {
		t.Error("not even a header: read")
	}
}
