package admin

// Queue sees and steers mail on its way out.
type Queue interface{}
