package main

// The mail of the pictures.

const welcome = `From: "Harbour Library" <desk@library.example>
To: <{to}>
Subject: Your reading card is ready
Message-ID: <1@library.example>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

Dear reader,

your card for the reading room is ready. Show this number at the desk:

    4711-0815

The room is open from nine to eight, on Sundays from eleven. How to find
us is on https://library.example/way.

With kind regards
the desk
`

const confirm = `From: Forum <robot@forum.example>
To: <{to}>
Subject: =?utf-8?q?Please_confirm_your_address_=E2=80=93_it_takes_one_click?=
Message-ID: <2@forum.example>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

https://forum.example/confirm?key=8f14e45f
`

const newsletter = `From: Botanical Garden <post@garden.example>
To: <{to}>
Subject: Spring in the palm house
Message-ID: <3@garden.example>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=outer

--outer
Content-Type: multipart/related; boundary=inner

--inner
Content-Type: text/html; charset=utf-8

<html><head><style>body{background:url(http://tracker.example/css)}</style><script>alert(1)</script></head>
<body>
<table width="100%" cellpadding="0" cellspacing="0"><tr><td align="center" bgcolor="#eef3ea">
<table width="560" cellpadding="24" cellspacing="0" bgcolor="#ffffff"><tr><td>
<h1 style="color:#2f6b3c;font-family:Georgia,serif">Spring in the palm house</h1>
<p><img src="cid:leaf" alt="A leaf" width="96" height="96" align="right">The first orchids are open, and the giant water lily has
put out its first leaf of the year. <b>From Saturday</b> the palm house is open until nine in the evening.</p>
<p style="color:#555">Members bring a friend, and the friend brings nothing but time.</p>
<p><a href="https://garden.example/tickets" style="background:#2f6b3c;color:#ffffff;padding:10px 18px;text-decoration:none">Reserve an evening</a></p>
<p><img src="http://tracker.example/banner.png" alt="Opening hours" width="400" height="60"></p>
<img src="http://tracker.example/pixel.gif?who=you" width="1" height="1">
<p style="color:#777;font-size:12px">Botanical Garden, Lindenallee 3. You get this because you asked for it.</p>
</td></tr></table></td></tr></table>
</body></html>
--inner
Content-Type: image/svg+xml
Content-ID: <leaf>
Content-Disposition: inline; filename=leaf.svg

<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 96"><path d="M12 84C8 40 36 10 86 10C88 60 56 88 12 84Z" fill="#7fae74"/><path d="M14 82C34 58 52 42 74 24" stroke="#2f6b3c" stroke-width="3" fill="none"/></svg>
--inner--
--outer
Content-Type: application/pdf; name="programme.pdf"
Content-Disposition: attachment; filename="programme.pdf"
Content-Transfer-Encoding: base64

JVBERi0xLjQKJcfsj6IKMSAwIG9iago8PC9UeXBlL0NhdGFsb2c+PgplbmRvYmoK
--outer
Content-Type: text/calendar; charset=utf-8
Content-Disposition: attachment; filename="evening in the palm house.ics"

BEGIN:VCALENDAR
END:VCALENDAR
--outer--
`
