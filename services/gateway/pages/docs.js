// The API reference: Swagger UI over /openapi.json. A key that was put in lasts as long as this tab does.
"use strict";

const SCHEME = "bearer";
const STORED = "lastframe-api-key";

document.getElementById("curl").textContent = [
  `curl -X POST ${window.location.origin}/api/v1/process \\`,
  '  -H "Authorization: Bearer $LAST_FRAME_API_KEY" \\',
  '  -H "Content-Type: application/json" \\',
  "  -d '{\"video_url\": \"https://example.com/video.mp4\"}'",
].join("\n");

const rememberKey = () => ({
  statePlugins: {
    auth: {
      wrapActions: {
        authorize: (original) => (payload) => {
          const key = payload[SCHEME] && payload[SCHEME].value;
          if (key) window.sessionStorage.setItem(STORED, key);
          return original(payload);
        },
        logout: (original) => (payload) => {
          window.sessionStorage.removeItem(STORED);
          return original(payload);
        },
      },
    },
  },
});

const reference = SwaggerUIBundle({
  url: "/openapi.json",
  domNode: document.getElementById("reference"),
  deepLinking: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  docExpansion: "list",
  tryItOutEnabled: true,
  validatorUrl: null,
  plugins: [rememberKey],
  onComplete: () => {
    const key = window.sessionStorage.getItem(STORED);
    if (key) reference.preauthorizeApiKey(SCHEME, key);
  },
});
