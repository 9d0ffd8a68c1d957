// Names by which a file of a stranger would reach a file outside of the folder it is in: OUTSIDE/secret
// beside OUTSIDE/FOLDER.
#pragma once

#include <string>
#include <vector>

namespace longsight {

inline std::vector<std::string> path_escapes(const std::string& outside) {
  const std::string secret = outside + "/secret";
  return {"../secret",
          "./../secret",
          "sub/../../secret",
          "sub/.././../secret",
          "..//secret",
          "../folder/../secret",
          ".././././secret",
          "../../../../../../../../../../../../etc/passwd",
          secret,
          "/" + secret,
          "//" + secret,
          "/etc/passwd",
          "/etc/../etc/passwd",
          "/proc/self/environ",
          "/proc/self/fd/0",
          "/dev/stdin",
          "/dev/zero",
          "/",
          "//",
          "..",
          "../",
          ".",
          "./",
          "",
          "sub",
          "sub/..",
          "...",
          "link",       // -> ../secret, where the test makes it
          "up/secret",  // up -> ..
          "up",
          std::string("a\0/../../secret", 15),
          std::string("../secret\0.safetensors", 22),
          std::string("\0", 1),
          "%2e%2e/secret",
          "%2e%2e%2fsecret",
          "..%2fsecret",
          "..%252fsecret",
          "..\\secret",
          "C:\\secret",
          "\xEF\xBC\x8E\xEF\xBC\x8E/secret",  // full-width full stops
          "\xE2\x80\xA4\xE2\x80\xA4/secret",  // one dot leaders
          "..\xEF\xBC\x8Fsecret",             // a full-width solidus
          "..\xE2\x88\x95secret",             // a division slash
          "..\xE2\x81\x84secret",             // a fraction slash
          "\xE2\x80\xAE../secret",            // right to left
          "..\xE2\x80\x8B/secret",            // a space of no width
          "file://" + secret,
          "FILE:///etc/passwd",
          "https://example.org/a",
          "~/secret",
          "~root/secret",
          "$HOME/secret",
          "`cat /etc/passwd`",
          "a/../../secret",
          "a/",
          "a/.",
          std::string(300, 'a'),
          std::string(5000, 'a'),
          " ../secret",
          "../secret ",
          "../secret\n",
          "a\nb"};
}

}  // namespace longsight
