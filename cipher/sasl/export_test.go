package sasl

// The server side of each mechanism, for tests in the package sasl_test.
var (
	ExternalServer        = externalServer
	ScramSHA256PlusServer = scramSHA256PlusServer
	ScramSHA256Server     = scramSHA256Server
	ScramSHA1PlusServer   = scramSHA1PlusServer
	ScramSHA1Server       = scramSHA1Server
	OAuthBearerServer     = oauthBearerServer
	XOAuth2Server         = xoauth2Server
	CRAMMD5Server         = cramMD5Server
	PlainServer           = plainServer
	LoginServer           = loginServer
)
