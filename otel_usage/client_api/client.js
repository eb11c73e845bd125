// otel_usage: tells the site's own server which pages are viewed, also those that no request asks for.
(function () {
  var script = document.currentScript, nav = navigator, last;
  if (!script || window.usageLog) return;
  var api = new URL("log/", script.src).href;

  function send(path, referer) {
    if (nav.globalPrivacyControl) return;
    try {
      var body = JSON.stringify({ date: new Date().toISOString(), path: path.slice(0, 4096), referer: referer });
      // Both outlive the page.
      if (!nav.sendBeacon || !nav.sendBeacon(api, body))
        fetch(api, { method: "POST", body: body, keepalive: true, credentials: "include" }).catch(function () {});
    } catch (e) {}
  }

  function look() {
    var here = location.href;
    if (here === last || document.prerendering) return;
    send(here, last || document.referrer);
    last = here;
  }

  ["pushState", "replaceState"].forEach(function (name) {
    var original = history[name];
    history[name] = function () {
      var result = original.apply(this, arguments);
      look();
      return result;
    };
  });
  ["popstate", "hashchange"].forEach(function (name) { addEventListener(name, look); });
  document.addEventListener("prerenderingchange", look);
  addEventListener("pageshow", function (event) {
    if (event.persisted) { last = ""; look(); }
  });
  window.usageLog = function (path) { send(new URL(path, location).href, last); };
  look();
})();
