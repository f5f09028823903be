// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/api_server.h"

#include "userspace/daemon/api_connection.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace penstock::daemon {
namespace asio = boost::asio;
namespace {

// True if somebody accepts connections on the socket.
bool is_alive(const std::string &path) {
    const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    path.copy(name.sun_path, sizeof name.sun_path - 1);
    const int outcome = ::connect(probe, reinterpret_cast<const sockaddr *>(&name), sizeof name);
    const bool alive = outcome == 0 || errno == EAGAIN; // EAGAIN: its queue is full
    ::close(probe);
    return alive;
}

} // namespace

class ApiServer::Impl : public std::enable_shared_from_this<ApiServer::Impl> {
  public:
    Impl(asio::io_context &io, const Log &logger, Handler handler)
        : io_(io), shared_(std::make_shared<ApiShared>(io, logger, std::move(handler))) {}

    template <typename Acceptor> void serve(std::shared_ptr<Acceptor> acceptor, bool metrics_only) {
        closers_.push_back([acceptor] {
            boost::system::error_code ignored;
            acceptor->close(ignored);
        });
        asio::co_spawn(io_, accept_all(shared_from_this(), acceptor, metrics_only), asio::detached);
    }

    void stop() {
        shared_->stopping = true;
        for (const auto &close : closers_)
            close();
        closers_.clear();
        shared_->close_all();
        if (!socket_path_.empty())
            ::unlink(socket_path_.c_str());
        socket_path_.clear();
    }

    template <typename Acceptor>
    static asio::awaitable<void> accept_all(std::shared_ptr<Impl> self, std::shared_ptr<Acceptor> acceptor,
                                            bool metrics_only) {
        while (acceptor->is_open()) {
            boost::system::error_code error;
            auto socket = co_await acceptor->async_accept(asio::redirect_error(asio::use_awaitable, error));
            if (error == asio::error::operation_aborted)
                co_return;
            if (error) { // out of descriptors: wait for some to come back instead of spinning
                asio::steady_timer pause(self->io_, std::chrono::milliseconds(100));
                co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
                continue;
            }
            asio::co_spawn(self->io_, serve_connection(std::move(socket), self->shared_, metrics_only),
                           asio::detached);
        }
    }

    asio::io_context &io_;
    std::shared_ptr<ApiShared> shared_;
    std::vector<std::function<void()>> closers_;
    std::string socket_path_;
};

ApiServer::ApiServer(asio::io_context &io, const Log &logger, Handler handler)
    : impl_(std::make_shared<Impl>(io, logger, std::move(handler))) {}

ApiServer::~ApiServer() {
    stop();
}

void ApiServer::stop() {
    impl_->stop();
}

void ApiServer::events_added() {
    impl_->shared_->events_added.cancel();
}

Result<void> ApiServer::listen_unix(const std::string &path) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) == 0) {
        if (!S_ISSOCK(status.st_mode))
            return fault("api socket: " + path + " exists and is no socket");
        if (is_alive(path))
            return fault("api socket: another penstockd serves " + path);
        ::unlink(path.c_str());
    }
    using Acceptor = asio::local::stream_protocol::acceptor;
    auto acceptor = std::make_shared<Acceptor>(impl_->io_);
    boost::system::error_code error;
    acceptor->open(asio::local::stream_protocol(), error);
    const mode_t before = ::umask(0177); // nobody else connects before the mode is set
    if (!error)
        acceptor->bind(asio::local::stream_protocol::endpoint(path), error);
    ::umask(before);
    if (!error)
        acceptor->listen(asio::socket_base::max_listen_connections, error);
    if (error)
        return system_error("api socket: listen on " + path, error.value());
    if (const group *group = ::getgrnam("penstock"); group && ::chown(path.c_str(), 0, group->gr_gid) != 0)
        return system_error("api socket: give " + path + " to group penstock", errno);
    if (::chmod(path.c_str(), 0660) != 0)
        return system_error("api socket: set mode of " + path, errno);
    impl_->socket_path_ = path;
    impl_->serve(acceptor, false);
    return {};
}

Result<void> ApiServer::listen_tcp(const std::string &address) {
    const auto colon = address.rfind(':');
    std::string host = address.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']'))
        host = host.substr(1, host.size() - 2);
    std::uint16_t port = 0;
    std::from_chars(address.data() + colon + 1, address.data() + address.size(), port);
    boost::system::error_code error;
    const auto parsed = asio::ip::make_address(host, error);
    if (error)
        return fault("metrics: '" + host + "' is no IP address");
    auto acceptor = std::make_shared<asio::ip::tcp::acceptor>(impl_->io_);
    acceptor->open(parsed.is_v6() ? asio::ip::tcp::v6() : asio::ip::tcp::v4(), error);
    if (!error)
        acceptor->set_option(asio::socket_base::reuse_address(true), error);
    if (!error)
        acceptor->bind({parsed, port}, error);
    if (!error)
        acceptor->listen(asio::socket_base::max_listen_connections, error);
    if (error)
        return system_error("metrics: listen on " + address, error.value());
    impl_->serve(acceptor, true);
    return {};
}

} // namespace penstock::daemon
