package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

// The screen of a display.
const (
	screenWidth  = 1280
	screenHeight = 900
)

// A display is a screen that nobody sees.
type display struct {
	*daemon
	dir  string
	name string // for DISPLAY
}

var displayNumber = regexp.MustCompile(`(?m)^([0-9]+)$`)

// startDisplay starts Xvfb with a frame buffer in dir.
func startDisplay(ctx context.Context, dir string) (*display, error) {
	if err := find("Xvfb", "xvfb"); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	d, err := launch(filepath.Join(dir, "xvfb.log"), environment(dir), "Xvfb", "-displayfd", "1", "-nolisten", "tcp",
		"-screen", "0", fmt.Sprintf("%dx%dx24", screenWidth, screenHeight), "-fbdir", dir)
	if err != nil {
		return nil, err
	}
	x := &display{daemon: d, dir: dir}
	ctx, cancel := context.WithTimeout(ctx, startup)
	defer cancel()
	if err := d.await(ctx, x.readNumber); err != nil {
		return nil, errors.Join(err, d.stop())
	}
	return x, nil
}

// readNumber finds the number of the display, which Xvfb tells when it is ready.
func (x *display) readNumber() error {
	raw, err := os.ReadFile(x.log)
	if err != nil {
		return err
	}
	m := displayNumber.FindSubmatch(raw)
	if m == nil {
		return errors.New("no number of a display was told")
	}
	x.name = ":" + string(m[1])
	return nil
}

// still is how long the screen must not change to be taken for finished.
const still = 2 * time.Second

// shoot writes a picture of the screen once it has stopped changing.
func (x *display) shoot(ctx context.Context, file string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(still)
	defer tick.Stop()
	for before := []byte(nil); ; {
		now, err := os.ReadFile(filepath.Join(x.dir, "Xvfb_screen0"))
		if err != nil {
			return err
		}
		if bytes.Equal(now, before) {
			return writePNG(now, file)
		}
		before = now
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the screen does not come to rest: %w", ctx.Err())
		}
	}
}

func writePNG(dump []byte, file string) error {
	picture, err := readXWD(dump)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := png.Encode(&b, picture); err != nil {
		return err
	}
	return os.WriteFile(file, b.Bytes(), 0o644)
}

// An xwdHeader is the start of an X window dump: format 2, version 7 of
// XWDFile.h, big-endian in Xvfb's frame buffer.
type xwdHeader struct {
	HeaderSize, FileVersion, PixmapFormat, PixmapDepth uint32
	Width, Height, XOffset, ByteOrder                  uint32
	BitmapUnit, BitmapBitOrder, BitmapPad              uint32
	BitsPerPixel, BytesPerLine                         uint32
	VisualClass, RedMask, GreenMask, BlueMask          uint32
	BitsPerRGB, ColormapEntries, Colors                uint32
}

// xwdColor is the size of an entry of the colour table, which comes before the
// pixels.
const xwdColor = 12

// readXWD understands what Xvfb writes for a screen of 24 bits: pixels of four
// octets, blue first.
func readXWD(dump []byte) (image.Image, error) {
	var h xwdHeader
	if err := binary.Read(bytes.NewReader(dump), binary.BigEndian, &h); err != nil {
		return nil, fmt.Errorf("window dump: %w", err)
	}
	if h.FileVersion != 7 || h.BitsPerPixel != 32 || h.ByteOrder != 0 || h.RedMask != 0xff0000 || max(h.Width, h.Height) > 1<<14 {
		return nil, fmt.Errorf("window dump: unknown format %+v", h)
	}
	pixels, line := int64(h.HeaderSize)+int64(h.Colors)*xwdColor, int64(h.BytesPerLine)
	if line < 4*int64(h.Width) || int64(len(dump)) < pixels+line*int64(h.Height) {
		return nil, fmt.Errorf("window dump: %d octets are not %d x %d pixels", len(dump), h.Width, h.Height)
	}
	picture := image.NewRGBA(image.Rect(0, 0, int(h.Width), int(h.Height)))
	for y := range int(h.Height) {
		row := dump[pixels+int64(y)*line:]
		for x := range int(h.Width) {
			p := row[4*x:]
			picture.SetRGBA(x, y, color.RGBA{R: p[2], G: p[1], B: p[0], A: 0xff})
		}
	}
	return picture, nil
}
