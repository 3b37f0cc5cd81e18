// Opens the message with the given subject in the inbox, waits until the windows
// show all of it, and calls back with what they hold.
const [subject, done] = arguments;
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const inbox = MailServices.accounts.defaultAccount.incomingServer.rootFolder
  .getFolderWithFlags(Ci.nsMsgFolderFlags.Inbox);

// until waits for a value; the caller of the script knows how long.
const until = async get => {
  for (;;) {
    const value = get();
    if (value) {
      return value;
    }
    await new Promise(resolve => window.setTimeout(resolve, 100));
  }
};

(async () => {
  window.moveTo(0, 0);
  window.resizeTo(window.screen.width, window.screen.height);
  const pane = await until(() => {
    const about = window.document.getElementById("tabmail")?.currentAbout3Pane;
    return about?.displayFolder && about.document.readyState == "complete" && about;
  });
  pane.displayFolder(inbox.URI);
  const row = await until(() => {
    const view = pane.gDBView;
    for (let i = 0; view && i < view.rowCount; i++) {
      if (view.getMsgHdrAt(i).mime2DecodedSubject == subject) {
        return { index: i };
      }
    }
    return null;
  });
  pane.threadTree.selectedIndex = row.index;
  const message = await until(() => pane.messageBrowser?.contentWindow);
  return until(() => {
    const find = id => message.document.getElementById(id);
    const attachments = [...(find("attachmentList")?.children ?? [])].map(item => item.textContent.trim() || item.getAttribute("name"));
    const text = find("messagepane")?.contentDocument?.body?.textContent ?? "";
    const shown = find("expandedsubjectBox")?.textContent ?? "";
    return attachments.length && text.trim() && shown && {
      Subject: shown.trim(), Text: text.trim(), Attachments: attachments,
    };
  });
})().then(done, e => done({ Error: `show the message: ${e}` }));
