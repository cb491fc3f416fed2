package dkim

// Of the tag list, in signatures and in key records.
const (
	reasonNoTags       Reason = "empty tag list"
	reasonTagSyntax    Reason = "tag list with bad syntax"
	reasonTagCharacter Reason = "tag value with a forbidden character"
	reasonTagTwice     Reason = "a tag stands twice"
	reasonTooManyTags  Reason = "too many tags"
)

// Of the signature.
const (
	reasonTooLong       Reason = "signature field too long"
	reasonMissingTag    Reason = "a required tag is missing"
	reasonVersion       Reason = "unknown version"
	reasonAlgorithm     Reason = "unknown algorithm"
	reasonSHA1          Reason = "rsa-sha1 proves nothing"
	reasonCanonical     Reason = "unknown canonicalization"
	reasonDomain        Reason = "d= is no domain"
	reasonTopLevel      Reason = "d= is a top-level domain"
	reasonSelector      Reason = "s= is no selector"
	reasonIdentity      Reason = "i= is no identity"
	reasonOtherIdentity Reason = "i= is not within d="
	reasonFields        Reason = "h= is no list of fields"
	reasonFrom          Reason = "From is not signed"
	reasonBase64        Reason = "b= or bh= is no base64"
	reasonHashLength    Reason = "bh= has the wrong length"
	reasonQuery         Reason = "unknown query method"
	reasonTime          Reason = "t= or x= is no time"
	reasonExpiresFirst  Reason = "expires before it was made"
	reasonExpired       Reason = "expired"
	reasonLength        Reason = "l= is no length"
	reasonLengthTooLong Reason = "l= is more than the body has"
	reasonPartOfBody    Reason = "l= leaves a part of the body unsigned"
	reasonBody          Reason = "body hash differs"
	reasonSignature     Reason = "signature does not match"
)

// Of the key.
const (
	reasonNoKey        Reason = "no key in the DNS"
	reasonSeveralKeys  Reason = "several keys in the DNS"
	reasonDNS          Reason = "DNS failed"
	reasonDNSTime      Reason = "DNS gave no answer in time"
	reasonKeyTooLong   Reason = "key record too long"
	reasonKeyVersion   Reason = "key record of an unknown version"
	reasonKeyMissing   Reason = "key record without key"
	reasonKeyType      Reason = "unknown type of key"
	reasonKeyBase64    Reason = "key is no base64"
	reasonKeyForm      Reason = "key cannot be read"
	reasonKeyRevoked   Reason = "key revoked"
	reasonKeySmall     Reason = "key of less than 1024 bits"
	reasonKeyLarge     Reason = "key of more than 4096 bits"
	reasonKeyExponent  Reason = "key with an unusual exponent"
	reasonKeyAlgorithm Reason = "key is for another algorithm"
	reasonKeyHash      Reason = "key is not for sha256"
	reasonKeyService   Reason = "key is not for mail"
	reasonKeyStrict    Reason = "key is not for subdomains"
)
