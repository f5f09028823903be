// SPDX-License-Identifier: Apache-2.0
// A small real HTTP server on a unix socket, for tests of the client: it says what the test tells it to, and keeps what
// it was asked. It judges nothing.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace penstock::test {

struct Asked {
    std::string method, target, body, content_type;
};

struct Answer {
    unsigned status = 200;
    std::string body{};
    std::vector<std::string> chunks{}; // if any: sent one by one instead of the body
    bool stays_open = false;           // after the chunks the answer does not end until the client leaves
    bool silent = false;               // no answer until the client leaves
    std::string raw{};                 // if any: these octets and nothing else
};

class ApiServer {
  public:
    explicit ApiServer(std::function<Answer(const Asked &)> handler);
    ~ApiServer();
    ApiServer(const ApiServer &) = delete;
    ApiServer &operator=(const ApiServer &) = delete;

    const std::string &socket_path() const;
    std::vector<Asked> asked() const; // so far

  private:
    class State;
    std::unique_ptr<State> state_;
};

// A directory of its own, removed with all in it.
class TemporaryDirectory {
  public:
    TemporaryDirectory();
    ~TemporaryDirectory();
    TemporaryDirectory(const TemporaryDirectory &) = delete;
    TemporaryDirectory &operator=(const TemporaryDirectory &) = delete;
    std::string file(const std::string &name, const std::string &text) const; // its path
    const std::string &path() const { return path_; }

  private:
    std::string path_;
};

} // namespace penstock::test
