// Gets the new messages of the account, and calls back with {} when they are in
// the inbox, or with what went wrong: Trust about the certificate, Error about
// anything else.
const [done] = arguments;
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const server = MailServices.accounts.defaultAccount.incomingServer;
const inbox = server.rootFolder.getFolderWithFlags(Ci.nsMsgFolderFlags.Inbox);
const untrusted = ["SEC_ERROR", "SSL_ERROR", "MOZILLA_PKIX_ERROR"];

server.getNewMessages(inbox, window.msgWindow, {
  QueryInterface: ChromeUtils.generateQI(["nsIUrlListener"]),
  OnStartRunningUrl() {},
  OnStopRunningUrl(url, status) {
    if (Components.isSuccessCode(status)) {
      done({});
      return;
    }
    const security = url?.QueryInterface(Ci.nsIMsgMailNewsUrl).failedSecInfo?.errorCodeString ?? "";
    const text = `getting messages ended with 0x${status.toString(16)} ${security}`;
    done(untrusted.some(prefix => security.startsWith(prefix)) ? { Trust: text } : { Error: text });
  },
});
