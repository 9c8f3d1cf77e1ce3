package config

// Google is a Google set-up: credentials, and the accounts that they reach.
type Google struct {
	Endpoint        string        `yaml:"endpoint" doc:"The API's base URL."`
	CredentialsFile string        `yaml:"credentials_file" doc:"JSON file of a service account or an authorised user; empty: Application Default Credentials. Relative paths start at the configuration file's folder."`
	Impersonate     string        `yaml:"impersonate" doc:"Service account to act as, by its address, without a key of it: the credentials need the role Service Account Token Creator on it."`
	AccessToken     Secret        `yaml:"access_token" doc:"A fixed bearer token instead of credentials, for emulators. Better as ${NAME} or ${file:PATH} than written here."`
	Subjects        []string      `yaml:"subjects" doc:"Users to act for (domain-wide delegation), an account each; none: the credentials' own account."`
	Domain          *GoogleDomain `yaml:"domain" doc:"Act for every user of a domain, found through the directory, in place of subjects."`
	Streams         []string      `yaml:"streams" enum:"events,calendars,acl,settings" doc:"What to follow. calendars is required: the others are found by it."`
	Quota           GoogleQuota   `yaml:"quota" doc:"Requests a minute, at most; the defaults are what Google grants."`

	UpdatedMin                bool     `yaml:"updated_min" doc:"Follow events by their time of change, not by sync tokens: for the filters that sync tokens refuse."`
	Query                     string   `yaml:"query" doc:"Only events that have these words somewhere. Needs updated_min."`
	TimeMin                   string   `yaml:"time_min" doc:"Only events that end after this time, RFC 3339. Needs updated_min."`
	TimeMax                   string   `yaml:"time_max" doc:"Only events that begin before this time, RFC 3339. Needs updated_min."`
	ICalUID                   string   `yaml:"ical_uid" doc:"Only events with this iCalendar UID. Needs updated_min."`
	PrivateExtendedProperties []string `yaml:"private_extended_properties" doc:"Only events with all these private extended properties, each as name=value. Needs updated_min."`
	SharedExtendedProperties  []string `yaml:"shared_extended_properties" doc:"Only events with all these shared extended properties, each as name=value. Needs updated_min."`
	EventTypes                []string `yaml:"event_types" enum:"default,birthday,focusTime,fromGmail,outOfOffice,workingLocation" doc:"Only events of these types; none: of all. Works with sync tokens too."`
}

// GoogleDomain finds the users of a domain.
type GoogleDomain struct {
	Admin    string `yaml:"admin" doc:"Required. An administrator who may read the directory; it is asked in this user's name."`
	Customer string `yaml:"customer" doc:"The customer's id; my_customer is the administrator's own."`
	Query    string `yaml:"query" doc:"Only users that the directory finds by this, e.g. orgUnitPath=/Sales; empty: all."`
	Endpoint string `yaml:"endpoint" doc:"The directory API's base URL."`
}

// GoogleQuota bounds what is asked of Google.
type GoogleQuota struct {
	UserPerMinute    int `yaml:"user_per_minute" doc:"Requests a minute in the name of one user."`
	ProjectPerMinute int `yaml:"project_per_minute" doc:"Requests a minute of this source altogether."`
}

// DefaultGoogle is a Google set-up that says nothing: that of the Application Default Credentials.
func DefaultGoogle() Google {
	return Google{Endpoint: "https://www.googleapis.com/calendar/v3/",
		Streams: []string{"events", "calendars", "acl", "settings"},
		Quota:   GoogleQuota{UserPerMinute: 600, ProjectPerMinute: 10_000}}
}

// DefaultGoogleDomain is the administrator's own domain.
func DefaultGoogleDomain() GoogleDomain {
	return GoogleDomain{Customer: "my_customer", Endpoint: "https://admin.googleapis.com/"}
}

func (g *Google) setDefaults()       { *g = DefaultGoogle() }
func (d *GoogleDomain) setDefaults() { *d = DefaultGoogleDomain() }

// complete fills in what follows from other keys.
func (g *Google) complete(dir string) {
	g.CredentialsFile = inDir(dir, g.CredentialsFile)
	g.Endpoint = slashed(g.Endpoint)
	if g.Domain != nil {
		g.Domain.Endpoint = slashed(g.Domain.Endpoint)
	}
}

// slashed ends a base URL with a slash: what is asked for is written after it.
func slashed(url string) string {
	if url == "" || url[len(url)-1] == '/' {
		return url
	}
	return url + "/"
}
