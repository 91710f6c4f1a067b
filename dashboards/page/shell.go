package page

import (
	"encoding/base64"
	"html/template"
	"strings"
)

// Shell is what the pages of Taillight have in common: colours, type and
// parts, the scripts that make elements and write figures, and the policy that
// allows exactly these. All of it is the text of this program, so a template
// may hold it as it is.
type Shell struct {
	// Policy is a content security policy: this style and this script by their
	// hashes, the embedded font, and requests to the page's own origin.
	Policy string
	Style  template.CSS
	Script template.JS
}

// NewShell joins what pages have in common with the style and the script of
// one of them, which stand last and may use all before them. The scripts add
// to window.Taillight: elements, units and theme (base.js), tables and empty
// places (charts.js, whose charts need uPlot and are not for other pages). An
// error says that an embedded file is missing.
func NewShell(style, script string) (Shell, error) {
	common, err := styled([]string{"page.css", "parts.css"})
	if err != nil {
		return Shell{}, err
	}
	basic, err := join([]string{"base.js", "charts.js"})
	if err != nil {
		return Shell{}, err
	}
	style, script = common+style, basic+script
	return Shell{
		Policy: policy(style, script) + "; connect-src 'self'; frame-ancestors 'none'",
		Style:  template.CSS(style), Script: template.JS(script),
	}, nil
}

// styled joins styles and puts the font into them.
func styled(names []string) (string, error) {
	style, err := join(names)
	if err != nil {
		return "", err
	}
	font, err := assets.ReadFile("assets/vendor/inter.woff2")
	if err != nil {
		return "", err
	}
	return strings.Replace(style, "url(inter.woff2)", "url(data:font/woff2;base64,"+base64.StdEncoding.EncodeToString(font)+")", 1), nil
}
