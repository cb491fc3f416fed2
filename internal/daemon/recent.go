package daemon

import "github.com/postrider-mail/postrider/internal/conf"

// recentOctets is how much of the log is kept in memory: nothing where no pages can show it.
func recentOctets(s *conf.Settings) int {
	if s.Web.Listen == "" {
		return 0
	}
	return int(s.Log.Recent)
}
