"""Shapes of secrets as plain data: how the tokens of known issuers begin, and which names hold a secret.

No `re` here: the hook path reads this file for every event, and compiles a pattern only where a trace was
found.
"""

DIGITS = "0123456789"
HEX = DIGITS + "abcdef"
UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + DIGITS
LOWER = DIGITS + "abcdefghijklmnopqrstuvwxyz"
ALNUM = UPPER + "abcdefghijklmnopqrstuvwxyz"
WORD = ALNUM + "_-"
DOTTED = WORD + "."
BASE64 = ALNUM + "+/=_-"
JSON64 = BASE64 + "."  # of a text that begins like JSON: its first characters are none of + / =

# (kind, the characters that follow, how many at least, beginnings)
PREFIXED = (
    ("anthropic-key", WORD, 20, "sk-ant-"),
    ("openai-key", WORD, 20, "sk-proj- sk-svcacct- sk-admin- sk-None- sk-or-v1- sk-lf-"),
    ("openai-key", ALNUM, 28, "sk-"),
    ("aws-key", UPPER, 16, "AKIA ASIA ABIA"),
    ("aws-key", BASE64, 60, "ABSK bedrock-api-key-"),
    ("aws-key", HEX + "-", 36, "amzn.mws."),
    ("github-token", DOTTED, 30, "ghp_ gho_ ghu_ ghs_ ghr_ github_pat_"),
    ("gitlab-token", DOTTED, 20, "glpat- gldt- glptt- glft- glimt- glagent- gloas- glsoat- glcbt- glffct- "
                                 "glrt- glrtr- GR1348941"),
    ("slack-token", WORD, 20, "xoxb- xoxp- xoxa- xoxc- xoxd- xoxo- xoxr- xoxs- xoxe- xoxe.xoxb- xoxe.xoxp- xapp- xwfp-"),
    ("stripe-key", ALNUM, 16, "sk_live_ sk_test_ sk_prod_ rk_live_ rk_test_ rk_prod_"),
    ("stripe-key", BASE64, 24, "whsec_"),
    ("google-key", WORD, 35, "AIza"),
    ("google-key", WORD, 24, "GOCSPX-"),
    ("google-key", DOTTED, 30, "ya29."),
    ("npm-token", ALNUM, 32, "npm_"),
    ("pypi-token", WORD, 50, "pypi-AgE"),
    ("huggingface-token", ALNUM, 30, "hf_ api_org_"),
    ("twilio-key", HEX, 32, "SK"),
    ("sendgrid-key", DOTTED, 60, "SG."),
    ("brevo-key", WORD, 60, "xkeysib- xsmtpsib-"),
    ("mailgun-key", HEX + "-", 32, "key-"),
    ("resend-key", ALNUM + "_", 30, "re_"),
    ("digitalocean-token", HEX, 60, "dop_v1_ doo_v1_ dor_v1_"),
    ("shopify-token", HEX + "ABCDEF", 32, "shpat_ shpca_ shppa_ shpss_"),
    ("square-token", WORD, 22, "sq0atp- sq0csp- sq0idp- sq0csb- sandbox-sq0csb-"),
    ("square-token", WORD, 60, "EAAA"),
    ("databricks-token", HEX + "-", 32, "dapi dose dsapi"),
    ("vault-token", DOTTED, 24, "hvs. hvb. hvr."),
    ("age-key", UPPER, 58, "AGE-SECRET-KEY-1 AGE-SECRET-KEY-PQ-1"),
    ("jwt", DOTTED, 30, "eyJ"),
    ("linear-key", ALNUM, 32, "lin_api_ lin_oauth_"),
    ("notion-token", ALNUM, 40, "ntn_ secret_"),
    ("postman-key", HEX + "-", 50, "PMAK-"),
    ("newrelic-key", UPPER + "-" + HEX, 24, "NRAK- NRII- NRJS- NRIQ- NRSP-"),
    ("sentry-token", BASE64, 40, "sntrys_"),
    ("sentry-token", HEX, 60, "sntryu_ sntrya_"),
    ("doppler-token", DOTTED, 36, "dp.pt. dp.st. dp.ct. dp.sa. dp.scim. dp.audit."),
    ("planetscale-token", DOTTED, 30, "pscale_tkn_ pscale_pw_ pscale_oauth_"),
    ("supabase-key", WORD, 20, "sbp_ sb_secret_"),
    ("heroku-key", WORD, 36, "HRKU-"),
    ("fly-token", BASE64, 40, "fm1_ fm2_"),
    ("fly-token", WORD, 40, "fo1_"),
    ("vercel-token", ALNUM, 20, "vcp_ vci_ vca_ vcr_ vck_"),
    ("netlify-token", WORD, 36, "nfp_ nfc_ nfu_"),
    ("render-token", ALNUM, 28, "rnd_"),
    ("pulumi-token", HEX, 40, "pul-"),
    ("grafana-token", WORD, 32, "glsa_"),
    ("grafana-token", JSON64, 32, "glc_ eyJrIjoi"),
    ("atlassian-token", JSON64, 24, "ATATT3 ATCTT3 ATBB ATOA"),
    ("dropbox-token", WORD, 60, "sl. sl.u."),
    ("figma-token", WORD, 40, "figd_ figo_ figu_ figor_"),
    ("airtable-token", ALNUM + ".", 79, "pat"),
    ("contentful-token", WORD, 40, "CFPAT-"),
    ("rubygems-key", HEX, 40, "rubygems_"),
    ("docker-token", WORD, 24, "dckr_pat_ dckr_oat_"),
    ("clojars-token", HEX, 60, "CLOJARS_"),
    ("crates-token", ALNUM, 32, "cio"),
    ("artifactory-token", ALNUM, 60, "AKCp"),
    ("artifactory-token", ALNUM, 55, "cmVmdGtuO"),
    ("adafruit-key", ALNUM, 26, "aio_"),
    ("alibaba-key", ALNUM, 16, "LTAI"),
    ("tencent-key", ALNUM, 32, "AKID"),
    ("yandex-key", WORD, 34, "AQVN y0_ y1_ y2_ y3_"),
    ("perplexity-key", ALNUM, 40, "pplx-"),
    ("groq-key", ALNUM, 40, "gsk_"),
    ("xai-key", ALNUM, 60, "xai-"),
    ("replicate-token", ALNUM, 36, "r8_"),
    ("together-key", WORD, 36, "tgp_v1_"),
    ("fireworks-key", ALNUM, 22, "fw_"),
    ("langchain-key", HEX + "_", 40, "lsv2_pt_ lsv2_sk_ ls__"),
    ("voyage-key", WORD, 40, "pa-"),
    ("tavily-key", WORD, 28, "tvly-"),
    ("elevenlabs-key", HEX, 40, "sk_"),
    ("pinecone-key", WORD, 40, "pcsk_"),
    ("wandb-key", WORD, 40, "wandb_v1_"),
    ("nvidia-key", WORD, 50, "nvapi-"),
    ("jina-key", WORD, 50, "jina_"),
    ("firecrawl-key", HEX, 32, "fc-"),
    ("cloudflare-token", WORD, 36, "cfut_ cfat_ cfk_ v1.0-"),
    ("plaid-token", HEX + "-", 36, "access-sandbox- access-development- access-production-"),
    ("razorpay-key", ALNUM, 14, "rzp_live_ rzp_test_"),
    ("mapbox-token", DOTTED, 60, "sk.eyJ"),
    ("1password-token", JSON64, 60, "ops_eyJ"),
    ("tailscale-key", WORD, 16, "tskey-auth- tskey-api- tskey-client- tskey-scim- tskey-webhook-"),
    ("buildkite-token", HEX, 40, "bkua_ bkaj_"),
    ("circleci-token", ALNUM + "_", 40, "CCIPAT_ CCIPRJ_"),
    ("sonar-token", HEX, 40, "squ_ sqp_ sqa_ sqb_"),
    ("sourcegraph-token", HEX + "_", 40, "sgp_ slk_"),
    ("typeform-token", WORD, 40, "tfp_"),
    ("easypost-key", ALNUM, 54, "EZAK EZTK"),
    ("duffel-token", WORD, 40, "duffel_live_ duffel_test_"),
    ("flutterwave-key", HEX + "-X", 14, "FLWSECK- FLWSECK_TEST-"),
    ("frameio-token", WORD, 60, "fio-u-"),
    ("shippo-token", HEX, 40, "shippo_live_ shippo_test_"),
    ("readme-key", ALNUM, 60, "rdme_"),
    ("prefect-key", ALNUM, 36, "pnu_ pnb_"),
    ("scalingo-token", WORD, 40, "tk-us-"),
    ("neon-key", ALNUM, 40, "napi_"),
    ("deno-token", ALNUM, 36, "ddp_ ddo_"),
    ("ionic-token", HEX, 40, "ion_"),
    ("octopus-key", UPPER, 26, "API-"),
    ("launchdarkly-key", HEX + "-", 36, "sdk-"),
    ("svix-key", BASE64, 30, "testsk_"),
    ("hubspot-token", HEX + "-", 36, "pat-na1- pat-na2- pat-na3- pat-eu1- pat-ap1-"),
    ("posthog-key", WORD, 40, "phx_ phs_"),
    ("nuget-key", LOWER, 43, "oy2"),
    ("dynatrace-token", UPPER + ".", 80, "dt0c01. dt0s01. dt0s02. dt0s16."),
    ("clickup-token", UPPER + "_", 36, "pk_"),
    ("runpod-key", ALNUM, 40, "rpa_"),
    ("cerebras-key", LOWER, 40, "csk-"),
    ("mollie-key", ALNUM, 30, "live_"),
    ("checkout-key", LOWER, 26, "sk_sbox_"),
    ("anyscale-key", LOWER, 24, "esecret_"),
    ("facebook-token", ALNUM, 100, "EAA"),
    ("private-key", JSON64, 40, "LS0tLS1CRUdJTiBSU0EgUFJJVkFU LS0tLS1CRUdJTiBQUklWQVRF "
                               "LS0tLS1CRUdJTiBFQyBQUklWQVRF "
                               "LS0tLS1CRUdJTiBPUEVOU1NIIFBS LS0tLS1CRUdJTiBFTkNSWVBURUQ "
                               "LS0tLS1CRUdJTiBQR1AgUFJJ"),
)

# Beginnings that nothing but a token has: one of these is believed after `d-` or `my_` too, where others would be
# the middle of a name.
SURE = tuple("""
    sk-ant- sk-proj- sk-svcacct- github_pat_ ghp_ gho_ ghu_ ghs_ ghr_ glpat- AKIA ASIA xoxb- xoxp- xapp- sk_live_ rk_live_
    AIza GOCSPX- ya29. npm_ pypi-AgE hf_ SG. dop_v1_ shpat_ lin_api_ ntn_ sntrys_ glsa_ dckr_pat_ eyJ hvs. tskey-auth-
""".split())

SHORTEST_TOKEN = 18  # the shortest beginning with the fewest characters that may follow it

# Traces of shapes that take a pattern to tell: (rule, three pieces of text that must all be there, in lower case). What is looked
# for first is a single character, which is fast, or long; an empty piece is everywhere.
TRACES = (
    ("private-key", "private key", "", ""),
    ("putty-key", "private-lines:", "", ""),
    ("jwk", "kty", "", ""),
    ("url-password", "://", "", ""),
    ("url-password", "\\", ":\\", "\\/"),
    ("authorization", "authorization", "", ""),
    ("bearer", "bearer ", "", ""),
    ("cookie", "cookie", "", ""),
    ("telegram-token", ":aa", "", ""),
    ("terraform-token", ".atlasv1.", "", ""),
    ("slack-webhook", "hooks.slack.com", "", ""),
    ("discord-webhook", "/webhooks", "", ""),
    ("teams-webhook", "webhook.office.com", "", ""),
    ("azure-key", "~", "q~", ""),
    ("azure-key", "azdo", "", ""),
    ("azure-sas", "=", "sig=", ""),
    ("docker-auth", "auth", "auths", ""),
    ("netrc-password", "login ", "password ", ""),
    ("aws-key", "akia", ",", ""),
    ("paypal-token", "$", "access_token$", ""),
    ("aws-secret", "secret_access_key ", "", ""),
    ("aws-secret", "secret access key [", "", ""),
    ("aws-secret", "aws_session_token ", "", ""),
    ("sentry-key", "@", "dsn", ""),
    ("sentry-key", "@", "sentry", ""),
    ("git-url", "@", "@git", ""),
    ("secret-set", "secret set ", "", ""),
    ("sql-identified", "identified", "by", ""),
    ("sql-password", "password '", "", ""),
    ("sql-password", 'password "', "", ""),
    ("sql-password", "\\", "password \\", ""),
    ("salesforce-token", "!", "00d", ""),
    ("twitter-token", "%", "aaaaaaaaaaaaaaaaaaaa", ""),
    ("access-token", "_pat", "", ""),
    ("npmrc", "=", "_auth=", ""),
    ("npmrc", "=", "_auth =", ""),
    ("npmrc", "=", ":_password=", ""),
    ("server-key", "server_key", "", ""),
    ("server-key", "serverkey", "", ""),
    ("composer-token", "github-oauth", "", ""),
    ("header-key", "honeycomb-team", "", ""),
    ("header-key", "application-key", "", ""),
    ("login-key", "wandb login ", "", ""),
    ("login-key", "authtoken ", "", ""),
    ("pgpass", ":5432:", "", ""),
    ("gradle-password", "storepassword ", "", ""),
    ("gradle-password", "keypassword ", "", ""),
    ("piped-password", "|", "chpasswd", ""),
    ("settings-password", "=", "psk=", ""),
    ("login-pair", "(", "auth", ""),
    ("login-pair", "(", ".login(", ""),
    ("said-password", "password is ", "", ""),
    ("said-password", "`", "password `", ""),
    ("said-password", "`", "password to `", ""),
)
# The same for commands with options: where none is, none of these is looked for.
OPTION = " -"
OF_COMMANDS = (
    ("command-password", "curl ", " -u", ""),
    ("command-password", "curl ", "--user", ""),
    ("command-password", "sshpass", "-p", ""),
    ("command-password", "mysql", " -p", ""),
    ("login-password", "login ", "-u", "-p"),
    ("client-password", "redis-cli", " -", ""),
    ("client-password", "mongo", " -p", ""),
    ("client-password", "mongo", "--password", ""),
    ("client-password", "sqlcmd", " -p", ""),
    ("client-password", "ldap", " -w", ""),
    ("client-password", "storepass ", "", ""),
    ("client-password", "keypass ", "", ""),
    ("client-password", " -pass", "pass:", ""),
    ("client-password", "zip ", " -p", ""),
    ("client-password", "7z", " -p", ""),
    ("client-password", "-asplaintext", "", ""),
    ("client-password", "ssh-keygen", " -n", ""),
    ("client-password", "gpg", "--passphrase", ""),
    ("cookie", "curl ", " -b", ""),
    ("settings-password", "requirepass ", "", ""),
    ("piped-password", "|", "sudo -", "echo"),
    ("piped-password", "|", "sudo -", "printf"),
    ("piped-password", "|", "--password-stdin", ""),
    ("join-token", "kubeadm", "--token", ""),
)
# What stands within a word of a token that begins like any other: (rule, piece, characters of the word at least).
WITHIN = (("newrelic-license", "NRAL", 30), ("mailchimp-key", "-us", 36), ("firebase-key", "APA91b", 100))
DISCORD = (24, 6, 27)  # characters of the parts of a Discord bot's token, at least; of the second, just so many

# Words that the name of a secret contains, and the family that decides which values are believed.
NAMES = (("mnemonic", "phrase"), ("seed_phrase", "phrase"), ("secret", "secret"), ("token", "token"),
         ("pass", "password"), ("pw", "password"), ("key", "key"))
# A key is a secret only with one of these before it.
KEYS = ("api", "access", "account", "auth", "encryption", "jwt", "master", "private", "secret", "security",
        "service_role", "shared", "signing", "webhook", "storage", "admin", "consumer", "deploy", "hmac",
        "app", "license", "write", "fernet", "cipher", "aes", "subscription")
# What may stand before these words' end.
LONGER = {"pass": ("word", "wd", "phrase", "wort", "code"), "pw": ("d",)}
NAME = ALNUM + "_-"
