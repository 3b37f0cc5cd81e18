// Sets the account up from address and password as the dialog for new accounts does:
// asks the domain for the settings, logs in with them, and keeps both. Calls back with
// the incoming server that was found, and where.
const [email, password, done] = arguments;
const load = name => ChromeUtils.importESModule(`resource:///modules/accountcreation/${name}.sys.mjs`);
const { FindConfig } = load("FindConfig");
const { AccountConfig } = load("AccountConfig");
const { ConfigVerifier } = load("ConfigVerifier");
const { CreateInBackend } = load("CreateInBackend");

(async () => {
  const { signal } = new AbortController();
  const found = FindConfig.parallelAutoDiscovery(email.split("@")[1], email, signal, password);
  const { value: config } = await found.next();
  if (!config?.incoming) {
    throw new Error("there are no settings");
  }
  AccountConfig.replaceVariables(config, "Somebody", email, password);
  await new ConfigVerifier(window.msgWindow, signal).verifyConfig(config, false);
  config.rememberPassword = true;
  await CreateInBackend.createAccountInBackend(config);
  const { type, hostname, port, socketType, username } = config.incoming;
  return { Found: { Source: config.subSource, Type: type, Host: hostname, Port: String(port), Socket: socketType, User: username } };
})().then(done, e => done({ Error: `set the account up: ${e}` }));
