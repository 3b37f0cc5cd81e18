// Stores the password of the account, and calls back with {}.
const [username, password, done] = arguments;
(async () => {
  const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
  const server = MailServices.accounts.defaultAccount.incomingServer;
  const origin = `mailbox://${server.hostname}`;
  const stored = await Services.logins.searchLoginsAsync({ origin, httpRealm: origin });
  if (!stored.length) {
    const login = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
    login.init(origin, null, origin, username, password, "", "");
    await Services.logins.addLoginAsync(login);
  }
})().then(() => done({}), e => done({ Error: `store the password: ${e}` }));
