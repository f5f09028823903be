// SPDX-License-Identifier: Apache-2.0
// See api_server.h. One thread, one connection at a time.
#include "tests/unit/cli/api_server.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include <array>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <stdexcept>
#include <thread>

namespace penstock::test {
namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;
using Protocol = asio::local::stream_protocol;

class ApiServer::State {
  public:
    explicit State(std::function<Answer(const Asked &)> handler)
        : handler_(std::move(handler)), socket_path_(directory_.path() + "/api.sock"),
          acceptor_(context_, Protocol::endpoint(socket_path_)), thread_([this] { serve(); }) {}

    ~State() {
        stopping_ = true;
        error_code ignored;
        Protocol::socket knock(context_); // wakes the accept
        knock.connect(Protocol::endpoint(socket_path_), ignored);
        thread_.join();
    }

    const std::string &socket_path() const { return socket_path_; }
    std::vector<Asked> asked() const {
        const std::lock_guard lock(mutex_);
        return asked_;
    }

  private:
    void serve() {
        while (!stopping_) {
            error_code error;
            Protocol::socket socket(context_);
            acceptor_.accept(socket, error);
            if (!error && !stopping_)
                talk(socket);
        }
    }

    void talk(Protocol::socket &socket) {
        boost::beast::flat_buffer buffer;
        http::request_parser<http::string_body> parser;
        parser.body_limit(64 << 20);
        error_code error;
        http::read(socket, buffer, parser, error);
        if (error)
            return;
        const http::request<http::string_body> request = parser.release();
        const Asked asked{std::string(request.method_string()), std::string(request.target()), request.body(),
                          std::string(request[http::field::content_type])};
        {
            const std::lock_guard lock(mutex_);
            asked_.push_back(asked);
        }
        const Answer answer = handler_(asked);
        if (answer.silent)
            wait_for_close(socket);
        else if (!answer.raw.empty())
            asio::write(socket, asio::buffer(answer.raw), error);
        else if (!answer.chunks.empty())
            send_chunks(socket, answer);
        else
            send_whole(socket, answer);
    }

    static void send_whole(Protocol::socket &socket, const Answer &answer) {
        http::response<http::string_body> response(static_cast<http::status>(answer.status), 11);
        response.set(http::field::content_type, "application/json");
        response.body() = answer.body;
        response.prepare_payload();
        error_code error;
        http::write(socket, response, error);
    }

    static void send_chunks(Protocol::socket &socket, const Answer &answer) {
        error_code error;
        asio::write(socket,
                    asio::buffer(std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")),
                    error);
        for (const std::string &chunk : answer.chunks)
            asio::write(socket, http::make_chunk(asio::buffer(chunk)), error);
        if (answer.stays_open)
            return wait_for_close(socket);
        asio::write(socket, http::make_chunk_last(), error);
    }

    static void wait_for_close(Protocol::socket &socket) {
        std::array<char, 16> nothing{};
        error_code error;
        while (!error)
            socket.read_some(asio::buffer(nothing), error);
    }

    std::function<Answer(const Asked &)> handler_;
    TemporaryDirectory directory_;
    std::string socket_path_;
    asio::io_context context_;
    Protocol::acceptor acceptor_;
    std::atomic<bool> stopping_ = false;
    mutable std::mutex mutex_;
    std::vector<Asked> asked_;
    std::thread thread_; // last: it uses all above
};

ApiServer::ApiServer(std::function<Answer(const Asked &)> handler)
    : state_(std::make_unique<State>(std::move(handler))) {}
ApiServer::~ApiServer() = default;
const std::string &ApiServer::socket_path() const {
    return state_->socket_path();
}
std::vector<Asked> ApiServer::asked() const {
    return state_->asked();
}

TemporaryDirectory::TemporaryDirectory()
    : path_((std::filesystem::temp_directory_path() / "penstock-cli-XXXXXX").string()) {
    if (mkdtemp(path_.data()) == nullptr)
        throw std::runtime_error("mkdtemp " + path_);
}

TemporaryDirectory::~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

std::string TemporaryDirectory::file(const std::string &name, const std::string &text) const {
    const std::string path = path_ + "/" + name;
    std::ofstream(path, std::ios::binary) << text;
    return path;
}

} // namespace penstock::test
